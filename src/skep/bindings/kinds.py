"""Which class a map of the object has when it is live, and its type parameters."""

from __future__ import annotations

from skep.bindings.types import ANY
from skep.kernel.constants import MapFlags, MapType
from skep.maps import kinds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.bindings.types import Types
    from skep.maps.spec import MapSpec

    Imports = set[tuple[str, str]]

PUBLIC = "skep.maps"
"""Where a module imports them from: not from where they happen to be defined."""

# The type parameters of the classes: K and V are key and value, M is the inner map. A class that
# is not here has none.
_PARAMETERS = {
    "Map": "KV",
    "ArrayMap": "V",
    "AttachedStorage": "KV",
    "BloomFilter": "V",
    "CgroupStorage": "KV",
    "CpuMap": "KV",
    "DeviceMap": "KV",
    "InodeStorage": "KV",
    "LpmTrie": "KV",
    "MapOfMaps": "KM",
    "Queue": "V",
    "ReuseportArray": "KV",
    "SocketMap": "KV",
    "SocketStorage": "KV",
    "StackTraces": "V",
    "TaskStorage": "KV",
    "UserRingBuffer": "V",
    "XskMap": "KV",
}

# Keys that are given in several forms: the address of a network or its text, a pid or its pidfd.
_LOOSE = frozenset(
    {
        MapType.LPM_TRIE,
        MapType.TASK_STORAGE,
        MapType.INODE_STORAGE,
        MapType.SK_STORAGE,
        MapType.CGRP_STORAGE,
        MapType.CGROUP_STORAGE,
        MapType.PERCPU_CGROUP_STORAGE,
    }
)
_COOKIES = frozenset({MapType.SOCKMAP, MapType.SOCKHASH, MapType.REUSEPORT_SOCKARRAY})
# Values that are a number, and a pair of it and a program where there is room for one.
_PAIRS = {
    MapType.DEVMAP: "Device",
    MapType.DEVMAP_HASH: "Device",
    MapType.CPUMAP: "Cpu",
}


def map_annotation(spec: MapSpec, types: Types) -> tuple[str, Imports]:
    """Return what Python calls the map, and what has to be imported for that."""
    name = kinds.map_class(spec.type).__name__
    imports = {(PUBLIC, name)}
    parts = []
    for letter in _PARAMETERS.get(name, ""):
        if letter == "M":
            part, more = inner(spec, types)
            imports |= more
        else:
            part = key(spec, types) if letter == "K" else value(spec, types)
        if part in _PAIRS.values():
            imports.add((PUBLIC, part))
        parts.append(part)
    return (f"{name}[{', '.join(parts)}]" if parts else name), imports


def inner(spec: MapSpec, types: Types) -> tuple[str, Imports]:
    """Return what Python calls the maps in a map of maps, and the imports for that."""
    if spec.inner is None:
        return ANY, set()
    return map_annotation(spec.inner, types)


def key(spec: MapSpec, types: Types) -> str:
    """Return what Python calls the keys of a map, as its class decodes them."""
    if spec.type in kinds.KEYLESS:
        return "None"
    if spec.type in _LOOSE:
        return ANY
    if spec.type in kinds.INDEXED and spec.key_size == 4:
        return "int"
    return _cell(spec, types, spec.key_type_id, spec.key_size)


def value(spec: MapSpec, types: Types) -> str:
    """Return what Python calls the values of a map, or the records of a ring buffer."""
    if spec.type in _PAIRS:
        return _PAIRS[MapType(spec.type)] if spec.value_size == 8 else "int"
    if spec.type in _COOKIES:
        return "int"
    if spec.type == MapType.STACK_TRACE:
        return f"tuple[{ANY if spec.flags & MapFlags.STACK_BUILD_ID else 'int'}, ...]"
    if spec.type == MapType.XSKMAP or (spec.type in kinds.RINGS and not spec.value_type_id):
        return ANY
    made = _cell(spec, types, spec.value_type_id, spec.value_size)
    return f"tuple[{made}, ...]" if spec.type in kinds.PER_CPU else made


def _cell(spec: MapSpec, types: Types, type_id: int, size: int) -> str:
    if spec.btf is None or not type_id or spec.contents is not None:
        return "bytes"
    made = types.codec(type_id)
    # The records of a ring buffer have a size, the map has none.
    if made is None or (spec.type not in kinds.RINGS and made.size != size):
        return ANY
    return types.annotation(type_id)
