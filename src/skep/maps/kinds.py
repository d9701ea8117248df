"""What each map type can do: which are indexed, per-CPU, keyless, or hold descriptors.

Source: the map type switch in kernel/bpf/syscall.c and the ``map_ops`` tables of
kernel/bpf/{hashtab,arraymap,ringbuf,stackmap,cpumap,devmap}.c, Linux 6.18.
"""

from __future__ import annotations

from skep.kernel.constants import MapFlags, MapType, name_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.maps.map import Map

PER_CPU = frozenset(
    {
        MapType.PERCPU_HASH,
        MapType.PERCPU_ARRAY,
        MapType.LRU_PERCPU_HASH,
        MapType.PERCPU_CGROUP_STORAGE,
    }
)
"""One value for each possible CPU, each rounded up to 8 bytes (kernel: ``bpf_map_value_size``)."""

ARRAYS = frozenset({MapType.ARRAY, MapType.PERCPU_ARRAY})
"""Every index below `max_entries` exists from the start and cannot be deleted."""

INDEXED = ARRAYS | {
    MapType.PROG_ARRAY,
    MapType.PERF_EVENT_ARRAY,
    MapType.CGROUP_ARRAY,
    MapType.ARRAY_OF_MAPS,
    MapType.DEVMAP,
    MapType.SOCKMAP,
    MapType.CPUMAP,
    MapType.XSKMAP,
    MapType.REUSEPORT_SOCKARRAY,
}
"""Keys are u32 indices even when there is no BTF to say so."""

HASHES = frozenset(
    {
        MapType.HASH,
        MapType.PERCPU_HASH,
        MapType.LRU_HASH,
        MapType.LRU_PERCPU_HASH,
    }
)

KEYLESS = frozenset(
    {
        MapType.QUEUE,
        MapType.STACK,
        MapType.BLOOM_FILTER,
        MapType.RINGBUF,
        MapType.USER_RINGBUF,
        MapType.ARENA,
    }
)
"""No keys to look up; item access is refused with a sentence."""

RINGS = frozenset({MapType.RINGBUF, MapType.USER_RINGBUF, MapType.ARENA})
"""Maps whose key and value sizes must be 0: a declared value type only names the record."""

DESCRIPTORS = frozenset(
    {
        MapType.PROG_ARRAY,
        MapType.PERF_EVENT_ARRAY,
        MapType.CGROUP_ARRAY,
        MapType.ARRAY_OF_MAPS,
        MapType.HASH_OF_MAPS,
    }
)
"""Written as a file descriptor, read as an id (or not at all)."""

STORAGES = frozenset(
    {
        MapType.SK_STORAGE,
        MapType.INODE_STORAGE,
        MapType.TASK_STORAGE,
        MapType.CGRP_STORAGE,
    }
)
"""A value for each object of a kind; user space names the object by a descriptor."""

COMPLETED = (
    STORAGES
    | DESCRIPTORS
    | {
        MapType.STACK_TRACE,
        MapType.DEVMAP,
        MapType.DEVMAP_HASH,
        MapType.CPUMAP,
        MapType.XSKMAP,
        MapType.SOCKMAP,
        MapType.SOCKHASH,
        MapType.REUSEPORT_SOCKARRAY,
        MapType.CGROUP_STORAGE,
        MapType.PERCPU_CGROUP_STORAGE,
    }
)
"""What `skep.maps.complete` fills in before the map is created."""

PER_CPU_ENTRIES = frozenset({MapType.PERF_EVENT_ARRAY, MapType.CPUMAP})
"""`max_entries` 0 means one entry for each possible CPU."""

NO_TYPES = frozenset(
    {
        MapType.PERF_EVENT_ARRAY,
        MapType.CGROUP_ARRAY,
        MapType.STACK_TRACE,
        MapType.ARRAY_OF_MAPS,
        MapType.HASH_OF_MAPS,
        MapType.DEVMAP,
        MapType.DEVMAP_HASH,
        MapType.CPUMAP,
        MapType.XSKMAP,
        MapType.SOCKMAP,
        MapType.SOCKHASH,
        MapType.RINGBUF,
        MapType.USER_RINGBUF,
    }
)
"""The kernel refuses key and value BTF on these (no ``map_check_btf`` that would accept it)."""


# Where the class for a map type lives, when it is not `Map` itself: module of this room, class.
_CLASSES: dict[int, tuple[str, str]] = {
    MapType.USER_RINGBUF: ("types.user_ring", "UserRingBuffer"),
    MapType.TASK_STORAGE: ("types.storage", "TaskStorage"),
    MapType.INODE_STORAGE: ("types.storage", "InodeStorage"),
    MapType.SK_STORAGE: ("types.storage", "SocketStorage"),
    MapType.CGRP_STORAGE: ("types.storage", "CgroupStorage"),
    MapType.CGROUP_STORAGE: ("types.cgroup_storage", "AttachedStorage"),
    MapType.PERCPU_CGROUP_STORAGE: ("types.cgroup_storage", "AttachedStorage"),
    MapType.DEVMAP: ("types.devices", "DeviceMap"),
    MapType.DEVMAP_HASH: ("types.devices", "DeviceMap"),
    MapType.CPUMAP: ("types.devices", "CpuMap"),
    MapType.XSKMAP: ("types.sockets", "XskMap"),
    MapType.SOCKMAP: ("types.sockets", "SocketMap"),
    MapType.SOCKHASH: ("types.sockets", "SocketMap"),
    MapType.REUSEPORT_SOCKARRAY: ("types.sockets", "ReuseportArray"),
    MapType.ARRAY: ("types.array", "ArrayMap"),
    MapType.PERCPU_ARRAY: ("types.array", "ArrayMap"),
    MapType.QUEUE: ("types.queue", "Queue"),
    MapType.STACK: ("types.queue", "Queue"),
    MapType.BLOOM_FILTER: ("types.bloom", "BloomFilter"),
    MapType.LPM_TRIE: ("types.lpm", "LpmTrie"),
    MapType.ARRAY_OF_MAPS: ("types.nested", "MapOfMaps"),
    MapType.HASH_OF_MAPS: ("types.nested", "MapOfMaps"),
    MapType.PROG_ARRAY: ("types.programs", "ProgramArray"),
    MapType.PERF_EVENT_ARRAY: ("types.perf_events", "PerfEventArray"),
    MapType.CGROUP_ARRAY: ("types.cgroups", "CgroupArray"),
    MapType.STACK_TRACE: ("types.stack_traces", "StackTraces"),
    MapType.ARENA: ("types.arena", "Arena"),
    MapType.STRUCT_OPS: ("types.struct_ops", "StructOpsMap"),
}


def map_class(type: int) -> type[Map[Any, Any]]:
    """Return the class for maps of this *type*, imported when it is first needed."""
    module, name = _CLASSES.get(type, ("map", "Map"))
    # Not importlib.import_module: importing importlib and what it needs costs 0.4 ms.
    found: Any = getattr(__import__(f"skep.maps.{module}", fromlist=("",)), name)
    return found  # type: ignore[no-any-return]


def type_called(name: str) -> MapType:
    """Return the map type called *name*: "hash", "LRU_HASH", "lpm-trie", "BPF_MAP_TYPE_ARRAY"."""
    word = name.upper().replace("-", "_").removeprefix("BPF_MAP_TYPE_")
    found = MapType.__members__.get(word)
    if found is not None:
        return found
    from difflib import get_close_matches

    from skep.errors import NotFoundError

    known = [each.lower() for each in MapType.__members__]
    close = get_close_matches(word.lower(), known, 3, 0.5)
    raise NotFoundError(
        f"{name!r} is no type of map",
        hint=f"did you mean {', '.join(close)}?" if close else f"there are {', '.join(known)}",
        name=name,
        where="map types",
    )


def entries(count: int) -> str:
    """Return "1 entry", "2 entries"."""
    return "1 entry" if count == 1 else f"{count} entries"


def flag_names(flags: int) -> str:
    """Return the names of `MapFlags` as "RDONLY | INNER_MAP", "none" for 0."""
    names = [flag.name or "" for flag in MapFlags if flags & flag]
    rest = flags & ~int(sum(MapFlags))
    return " | ".join([*names, *([hex(rest)] if rest else [])]) or "none"


def type_name(number: int) -> str:
    """Return the UAPI name of a map type in lower case, or its number when it is unknown."""
    return name_of(MapType, number)
