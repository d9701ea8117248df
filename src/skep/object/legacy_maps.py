"""`maps`: maps declared as C structs of numbers, as all objects did before BTF.

`struct bpf_map_def` has five: type, key_size, value_size, max_entries, map_flags. Two longer forms
were common and are told apart by their length: that of the kernel's samples, 28 bytes, goes on
with inner_map_idx and numa_node, and aya's, as long, with id and pinning; that of iproute2
(`struct bpf_elf_map`), 36 bytes, with id, pinning, inner_id and inner_idx. What is longer for
another reason must end in zeros, since the meaning of the rest is not known.
"""

from __future__ import annotations

from struct import Struct

from skep.btf import types as t
from skep.elf.reader import STT_FILE, STT_SECTION
from skep.errors import ElfError
from skep.kernel.constants import MapFlags, MapType
from skep.maps.spec import MapSpec
from skep.object.map_definitions import complete_sizes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.elf.reader import ElfFile, Section, Symbol
    from skep.object.functions import Targets
    from skep.object.spec import ObjectSpec

_FIELDS = {"little": Struct("<5I"), "big": Struct(">5I")}
_WORD = {"little": Struct("<I"), "big": Struct(">I")}
SIZE, SAMPLES, IPROUTE2 = 20, 28, 36
MAX_VALUES = 1 << 16
"""Places in all maps of maps together: one map can be in each of a thousand others."""
_OUTER = (MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS)


def read_legacy_maps(spec: ObjectSpec, elf: ElfFile, section: Section, targets: Targets) -> None:
    """Read the maps of *section* into *spec*.

    Raises `ElfError` naming the map when a definition is cut off or longer than is understood.
    """
    symbols = [
        symbol
        for symbol in elf.symbols
        if symbol.section_index == section.index
        and symbol.name
        and symbol.type not in (STT_SECTION, STT_FILE)
    ]
    symbols.sort(key=lambda symbol: symbol.value)
    data = bytes(elf.data(section))
    targets.map_sections.add(section.index)
    found: list[tuple[MapSpec, bytes]] = []
    for symbol, following in zip(symbols, [*symbols[1:], None], strict=False):
        start = symbol.value
        if (section.index, start) in targets.maps:
            continue  # a second name of the same map
        room = (following.value if following is not None else len(data)) - start
        size = symbol.size or room
        definition = data[start : start + size]
        if size > room:
            what = f"a map {symbol.name!r} in section {section.name!r} that overlaps the next one"
            raise elf.error(f"has {what}", offset=section.offset + start)
        if len(definition) < SIZE or len(definition) < size:
            what = f"map {symbol.name!r} in section {section.name!r} has {len(definition)} bytes"
            raise elf.error(f"is cut off: {what}", offset=section.offset + start)
        if symbol.name in spec.maps:
            raise ElfError(f"{elf.name} has two maps called {symbol.name!r}", source=elf.name)
        made = _read(spec, elf, section, symbol, definition)
        spec.maps[symbol.name] = made
        targets.maps[section.index, start] = symbol.name
        found.append((made, definition))
    _nest(elf, found)


def _read(spec: ObjectSpec, elf: ElfFile, section: Section, symbol: Symbol, data: bytes) -> MapSpec:
    kind, key, value, entries, flags = _FIELDS[elf.byteorder].unpack_from(data)
    made = MapSpec(
        name=symbol.name,
        type=kind,
        key_size=key,
        value_size=value,
        max_entries=entries,
        flags=flags,
        btf=spec.btf,
    )
    rest = _numbers(elf, data)
    if len(data) == SAMPLES:
        # A node counts only with its flag; without it the last word can only be aya's.
        if flags & MapFlags.NUMA_NODE:
            made.numa_node = rest[1]
        elif rest[1] == 1:
            made.pinning = "by_name"
        elif rest[1]:
            raise _unknown(elf, section, symbol, data)
        if rest[0] and kind not in _OUTER:
            raise _unknown(elf, section, symbol, data)
    elif len(data) == IPROUTE2:
        if rest[1] > 2:
            raise _unknown(elf, section, symbol, data)
        if rest[1]:
            # PIN_OBJECT_NS and PIN_GLOBAL_NS: folders below /sys/fs/bpf/tc, of which only the
            # second has a name that does not depend on the object.
            made.pinning = "by_name"
    elif any(data[SIZE:]):
        raise _unknown(elf, section, symbol, data)
    _type(spec, made)
    complete_sizes(made)
    return made


def _numbers(elf: ElfFile, data: bytes) -> list[int]:
    """Return what follows the five fields, as numbers."""
    word = _WORD[elf.byteorder]
    return [word.unpack_from(data, at)[0] for at in range(SIZE, len(data) - 3, 4)]


def _nest(elf: ElfFile, found: list[tuple[MapSpec, bytes]]) -> None:
    """Give maps of maps the shape of the maps in them, and those their places."""
    maps = [made for made, _ in found]
    by_id: dict[int, list[tuple[MapSpec, int]]] = {}
    for made, data in found:
        if len(data) == IPROUTE2:
            id_, _, _, index = _numbers(elf, data)
            if id_:
                by_id.setdefault(id_, []).append((made, index))
    total = 0
    for made, data in found:
        if made.type not in _OUTER:
            continue
        rest = _numbers(elf, data)
        if len(data) == SAMPLES and rest[0] < len(maps) and maps[rest[0]] is not made:
            made.inner = _template(maps[rest[0]])
        elif len(data) == IPROUTE2 and rest[2]:
            # The outer one names an id; every map with that id goes in at its own index.
            inside = [pair for pair in by_id.get(rest[2], []) if pair[0] is not made]
            total += len(inside)
            if total > MAX_VALUES:
                raise elf.error(f"has maps in maps with more than {MAX_VALUES} places together")
            if inside:
                made.inner = _template(inside[0][0])
                made.initial = [(index, each.name) for each, index in inside]


def _template(spec: MapSpec) -> MapSpec:
    return spec.copy(name=f"{spec.name}.inner", initial=(), pinning="none", contents=None)


def _type(spec: ObjectSpec, made: MapSpec) -> None:
    """Take the types from the struct that BPF_ANNOTATE_KV_PAIR (libbpf before 0.8) declares."""
    btf = spec.btf
    if btf is None:
        return
    for id_ in btf.find(f"____btf_map_{made.name}", t.Kind.STRUCT):
        pair = btf.type(id_)
        if isinstance(pair, t.Struct):
            members = {member.name: member.type_id for member in pair.members}
            if set(members) == {"key", "value"}:
                if btf.size_of(members["key"]) == made.key_size:
                    made.key_type_id = members["key"]
                if btf.size_of(members["value"]) == made.value_size:
                    made.value_type_id = members["value"]
                return


def _unknown(elf: ElfFile, section: Section, symbol: Symbol, data: bytes) -> ElfError:
    return ElfError(
        f"{elf.name}: the definition of map {symbol.name!r} in section {section.name!r} has"
        f" {len(data)} bytes, and those after the first {SIZE} are not zero",
        hint="what they mean is not known; declare the map in .maps with BTF",
        source=elf.name,
        offset=section.offset + symbol.value,
        map=symbol.name,
    )
