"""What C says of maps, programs and variables: for docstrings, and to see what changed.

`shape` is the object's interface as lines of text, each of them about one thing; two objects with
the same lines fit the same generated module, whatever their code.
"""

from __future__ import annotations

from skep.bindings.names import shown
from skep.bindings.types import Types, members
from skep.btf import types as t
from skep.btf.format_c import declaration, definition
from skep.errors import SkepError
from skep.kernel.constants import MapFlags, MapType, ProgramType, name_of
from skep.maps import kinds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from skep.bindings.types import EnumShape, RecordShape
    from skep.btf.btf import Btf
    from skep.maps.spec import MapSpec
    from skep.object.spec import ObjectSpec
    from skep.object.variables import VariableSpec
    from skep.programs.spec import ProgramSpec

SEPARATOR = " = "
MAX_LINES = 400
"""Lines of one C declaration in a docstring; what follows is left out, and said to be."""


def spell(btf: Btf | None, type_id: int, name: str = "", *, size: int = 0) -> str:
    """Declare *name* as a type, in one line; "16 bytes" where BTF does not say what they are."""
    if btf is not None and type_id:
        try:
            return shown(declaration(btf, type_id, name))
        except SkepError:
            pass
    return f"{size} bytes"


def c_definition(shape: RecordShape | EnumShape) -> list[str]:
    """Return the C of a struct, union or enum, as lines."""
    try:
        lines = definition(shape.found.btf, shape.found.id).expandtabs(4).splitlines()
    except SkepError as error:
        return [f"/* cannot be written in C: {shown(error.message)} */"]
    if len(lines) > MAX_LINES:
        lines = [*lines[:MAX_LINES], f"    /* and {len(lines) - MAX_LINES} lines more */"]
    return lines


def c_map(name: str, spec: MapSpec) -> list[str]:
    """Return the declaration of a map in C's way of saying it, as lines."""
    return ["struct {", *_map_body(spec, "    "), f'}} {shown(name)} SEC(".maps");']


def _map_body(spec: MapSpec, indent: str) -> Iterator[str]:
    kind = name_of(MapType, spec.type)
    yield f"{indent}__uint(type, {'' if kind.isdigit() else 'BPF_MAP_TYPE_'}{kind.upper()});"
    if spec.max_entries:
        yield f"{indent}__uint(max_entries, {spec.max_entries});"
    for what, type_id, size in (
        ("key", spec.key_type_id, spec.key_size),
        ("value", spec.value_type_id, spec.value_size),
    ):
        if spec.btf is not None and type_id:
            yield f"{indent}__type({what}, {spell(spec.btf, type_id, size=size)});"
        elif size and not spec.inner:
            yield f"{indent}__uint({what}_size, {size});"
    if spec.flags:
        yield f"{indent}__uint(map_flags, {_flags(int(spec.flags))});"
    if spec.extra:
        yield f"{indent}__uint(map_extra, {spec.extra});"
    if spec.pinning == "by_name":
        yield f"{indent}__uint(pinning, LIBBPF_PIN_BY_NAME);"
    if spec.inner is not None:
        yield f"{indent}__array(values, struct {{"
        yield from _map_body(spec.inner, indent + "    ")
        yield f"{indent}}});"


def _flags(number: int) -> str:
    names = [f"BPF_F_{flag.name}" for flag in MapFlags if number & flag]
    rest = number & ~sum(flag for flag in MapFlags if number & flag)
    return " | ".join([*names, *([hex(rest)] if rest else [])])


def map_summary(name: str, spec: MapSpec) -> str:
    """Say in one sentence what a map is."""
    kind = name_of(MapType, spec.type)
    if spec.contents is not None:
        what = "read-only data" if spec.frozen else "data"
        return f"`{shown(name)}`: the section of {what}, {spec.value_size} bytes."
    if spec.type == MapType.RINGBUF:
        return f"`{shown(name)}`: a ring buffer of {spec.max_entries} bytes."
    text = f"`{shown(name)}`: {kind}"
    if spec.key_size:
        text += f", {_quoted(spec.btf, spec.key_type_id, spec.key_size)}"
    if spec.value_size and spec.type not in kinds.DESCRIPTORS:
        value = _quoted(spec.btf, spec.value_type_id, spec.value_size)
        text += f"{' to' if spec.key_size else ' of'} {value}"
    if spec.type in kinds.PER_CPU:
        text += " for each CPU"
    return f"{text}, {kinds.entries(spec.max_entries)}." if spec.max_entries else f"{text}."


def _quoted(btf: Btf | None, type_id: int, size: int) -> str:
    spelt = spell(btf, type_id, size=size)
    return f"`{spelt}`" if btf is not None and type_id else spelt


def c_variable(name: str, variable: VariableSpec, btf: Btf) -> str:
    """Return the declaration of a global variable, without its semicolon."""
    return spell(btf, variable.type_id, name, size=variable.size)


def c_program(name: str, btf: Btf | None) -> str:
    """Return the prototype of a program, "" where BTF does not tell it."""
    ids = btf.find(name, t.Kind.FUNC) if btf is not None else []
    if btf is None or not ids:
        return ""
    found = btf.type(ids[0])
    try:
        return f"{declaration(btf, found.type_id, name)};" if isinstance(found, t.Func) else ""
    except SkepError:
        return ""


def program_summary(name: str, spec: ProgramSpec) -> str:
    """Say in one sentence what a program is."""
    kind = name_of(ProgramType, spec.type)
    section = f", section `{shown(spec.section)}`" if spec.section else ""
    asked = "" if spec.autoload else "; loaded only when asked for"
    return f"`{shown(name)}`: {kind} program{section}{asked}."


# What a module is compared by


def shape(spec: ObjectSpec, types: Types | None = None) -> list[str]:
    """Return all that a generated module relies on, "WHAT = HOW" line by line, in order."""
    types = types or Types(spec)
    lines = [f"{shown(each.spelt)}{SEPARATOR}{_record_line(each)}" for each in types.records]
    for enum in types.enums:
        pairs = ", ".join(f"{shown(name)} {number}" for name, number in enum.found.values)
        lines.append(f"{shown(enum.spelt)}{SEPARATOR}{enum.found.size} bytes: {pairs}")
    for name, each in spec.maps.items():
        lines.append(f"map {shown(name)}{SEPARATOR}{_map_line(each)}")
    for name, variable in spec.variables.items():
        typed = spell(spec.btf, variable.type_id, size=variable.size)
        what = "constant" if variable.constant else "variable"
        lines.append(f"{what} {shown(name)}{SEPARATOR}{typed}")
    lines += [f"program {shown(name)}{SEPARATOR}there" for name in spec.programs]
    return lines


def _record_line(record: RecordShape) -> str:
    btf = record.found.btf
    parts = []
    for name, type_id, at in members(btf, record.found):
        place = str(at // 8) if not at % 8 else f"{at // 8}.{at % 8}"
        parts.append(f"{spell(btf, type_id, name)} at {place}")
    return f"{record.found.size} bytes: {'; '.join(parts)}"


def _map_line(spec: MapSpec) -> str:
    kind = name_of(MapType, spec.type)
    if spec.contents is not None:
        return kind  # its size goes with its variables
    key = spell(spec.btf, spec.key_type_id, size=spec.key_size)
    value = spell(spec.btf, spec.value_type_id, size=spec.value_size)
    inner = f" of {_map_line(spec.inner)}" if spec.inner is not None else ""
    return f"{kind}, {key} to {value}{inner}"


def differences(before: Sequence[str], now: Sequence[str]) -> list[str]:
    """Say what is gone or has changed from *before* to *now*; what is new is no difference."""
    known = dict(_parted(line) for line in now)
    found = []
    for line in before:
        what, how = _parted(line)
        if what not in known:
            found.append(f"{what} is gone")
        elif known[what] != how:
            found.append(_changed(what, how, known[what]))
    return found


def _parted(line: str) -> tuple[str, str]:
    what, _, how = line.partition(SEPARATOR)
    return what, how


def _changed(what: str, before: str, now: str) -> str:
    """Say what is different; of a struct or enum, only the members that are."""
    old_size, old, olds = before.partition(": ")
    new_size, new, news = now.partition(": ")
    if not (old and new):
        return f"{what} was {before}, now it is {now}"
    mark = "; " if what.startswith(("struct ", "union ")) or "; " in olds + news else ", "
    gone = [part for part in olds.split(mark) if part not in news.split(mark)]
    come = [part for part in news.split(mark) if part not in olds.split(mark)]
    parts = [f"was {old_size}, now it is {new_size}"] if old_size != new_size else []
    parts += [f"had {mark.join(gone)}"] if gone else []
    parts += [f"now has {mark.join(come)}"] if come else []
    return f"{what} {', '.join(parts) or 'has its members in another order'}"
