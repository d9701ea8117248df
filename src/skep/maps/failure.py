"""What is said when a key, value or map does not fit. Imported only then."""

from __future__ import annotations

import errno

from skep.errors import (
    KernelError,
    LoadError,
    RangeError,
    SkepError,
    TypeMismatchError,
    UnsupportedError,
)
from skep.kernel.constants import MapFlags, MapType
from skep.kernel.syscall import page_size
from skep.maps import kinds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from skep.maps.spec import MapSpec

    Misfit = TypeMismatchError | RangeError


def misfit(error: Misfit, spec: MapSpec, role: str, *, row: int | None = None) -> Misfit:
    """Say of a codec's *error* in which map it is, and whether in its key or value (*role*).

    *row* is the number of the key or value in a column.
    """
    map = spec.name
    inside, text = _split(error)
    where = role if row is None else f"{role}s[{row}]"
    evidence = {**error.evidence, "field": inside, "map": map, "role": role}
    if row is not None:
        evidence["row"] = row
    message = f"map {map!r}, {_joined(where, inside)}: {text}"
    return type(error)(message, hint=error.hint or untyped(spec), **evidence)


def untyped(spec: MapSpec) -> str:
    """Return as a hint why the types of a live map are not known, though there are some."""
    if spec.untyped is None:
        return ""
    return (
        f"its keys and values are bytes here, as its types could not be read:"
        f" {spec.untyped.message}"
    )


def about_padding(map: str, type: int, key: Any) -> str:
    """Return a hint for a key that is missing: in a hash, padding counts. *key* is its cell."""
    mask = getattr(key, "mask", None)
    if type not in kinds.HASHES or mask is None:
        return ""
    bits = 8 * key.size - mask().bit_count()
    if not bits:
        return ""
    amount = f"{bits // 8} bytes" if bits > 8 else "a byte" if bits == 8 else "bits"
    return (
        f"its keys have {amount} of padding, zero when Python writes them; if a program stores"
        f" something there, skep map check {map} shows it"
    )


def misfit_of_variable(error: Misfit, variable: str) -> Misfit:
    """Say of a codec's *error* in which global *variable* it is, and where inside."""
    inside, text = _split(error)
    evidence = {**error.evidence, "field": inside, "variable": variable}
    where = f", {inside}" if inside else ""
    message = f"variable {variable!r}{where}: {text}"
    return type(error)(message, hint=error.hint, **evidence)


def misfit_of_one(pack: Callable[[Any], bytes], values: Iterable[Any]) -> SkepError:
    """Return the error of the first of *values* that cannot be packed, saying which it is."""
    for index, value in enumerate(values):
        try:
            pack(value)
        except (TypeMismatchError, RangeError) as error:
            inside, text = _split(error)
            field = _joined(f"[{index}]", inside)
            evidence = {**error.evidence, "field": field}
            return type(error)(f"{field}: {text}", hint=error.hint, **evidence)
    return TypeMismatchError("the values changed while they were packed")


def _split(error: Misfit) -> tuple[str, str]:
    """Return the path of the field that a codec's error is about, and what it says of it."""
    return error.field, error.message.removeprefix(f"{error.field}: ")


def _joined(outer: str, inner: str) -> str:
    return f"{outer}.{inner}" if inner and not inner.startswith("[") else outer + inner


def keyless(what: str, type: int) -> UnsupportedError:
    """Make the error for item access to a map without keys; *what* is its name and type."""
    hint = "read its records with stream()" if type == MapType.RINGBUF else ""
    message = f"{what} has no keys: items cannot be read or written by key"
    return UnsupportedError(message, hint=hint, feature="map items")


def not_a_column(map: str, what: str, given: Any) -> TypeMismatchError:
    """Make the error for *what* ("keys", "values") that are neither an array nor an iterable."""
    return TypeMismatchError(
        f"map {map!r}: its {what} must be a column, that is an array or an iterable,"
        f" not {type(given).__name__} {given!r:.60}",
        hint="for one entry write m[key] = value, or del m[key]",
        expected="an array or iterable",
        given=given,
        map=map,
        role=what[:-1],
    )


def not_a_mapping(map: str, given: Any) -> TypeMismatchError:
    """Make the error for ``update(given)`` of something without keys."""
    return TypeMismatchError(
        f"map {map!r}: update() takes a column of keys and one of values, or one mapping,"
        f" not only {type(given).__name__} {given!r:.60}",
        expected="a mapping",
        given=given,
        map=map,
    )


# Creating a map


def refused(spec: MapSpec, error: KernelError) -> LoadError:
    """Say which map, with which shape, BPF_MAP_CREATE refused, and why when that is plain."""
    shape = (
        f"{kinds.type_name(spec.type)}, key {spec.key_size} bytes, value {spec.value_size} "
        f"bytes, {kinds.entries(spec.max_entries)}, flags {int(spec.flags):#x}"
    )
    evidence: dict[str, Any] = {
        "errno": error.errno or 0, "call": "BPF_MAP_CREATE", "name": spec.name, "kind": "map",
    }  # fmt: skip
    mistake = _mistake(spec) if error.errno == errno.EINVAL else None
    if mistake is None:
        from skep.maps import mistakes

        mistake = mistakes.mistake(spec, error.errno or 0)
    if mistake is None and error.errno == errno.EINVAL and _unknown(spec.type):
        message = f"map {spec.name!r} cannot be created: this kernel has no maps of type"
        message += f" {kinds.type_name(spec.type)}"
        return LoadError(message, hint="it is older than they are", **evidence)
    if mistake is None:
        return LoadError(f"{error.message} ({shape})", hint=error.hint, **evidence)
    what, given, expected, hint = mistake
    message = (
        f"map {spec.name!r} ({kinds.type_name(spec.type)}) cannot be created:"
        f" {what} must be {expected}, not {given}"
    )
    return LoadError(message, hint=hint, expected=expected, given=given, **evidence)


def _unknown(type: int) -> bool:
    """Whether the kernel's own BTF lists its map types, and not this one."""
    from skep.btf.kernel import kernel_btf
    from skep.btf.types import Enum, Kind

    try:
        found = kernel_btf().find_type("bpf_map_type", Kind.ENUM)
    except SkepError:
        return False
    return isinstance(found, Enum) and all(number != type for _, number in found.values)


def _mistake(spec: MapSpec) -> tuple[str, Any, str, str] | None:
    """Return (what, given, expected, hint) for what the kernel refuses with EINVAL, else None.

    Source: the `map_alloc_check` and `map_alloc` functions in kernel/bpf/{hashtab,arraymap,
    ringbuf,queue_stack_maps,lpm_trie,stackmap,bloom_filter,map_in_map}.c, Linux 6.18.
    """
    kind, entries, key, value = spec.type, spec.max_entries, spec.key_size, spec.value_size
    if kind in (MapType.RINGBUF, MapType.USER_RINGBUF):
        if entries >= page_size and not entries & entries - 1:
            return None
        size = min(max(page_size, 1 << max(entries - 1, 0).bit_length()), 1 << 31)
        expected = f"a power of two and at least {page_size} (a page)"
        return "max_entries, its bytes,", entries, expected, f"set max_entries to {size}"
    if kind not in _SIZED:
        return None
    if not entries and kind not in kinds.PER_CPU_ENTRIES:
        return "max_entries", 0, "1 or more", "set max_entries, the number of entries"
    return _wrong_key(spec, kind, key) or _wrong_value(spec, kind, value)


def _wrong_key(spec: MapSpec, kind: int, key: int) -> tuple[str, Any, str, str] | None:
    if (kind in kinds.INDEXED or kind == MapType.STACK_TRACE) and key != 4:
        return "the key size", key, "4 bytes, an index", "declare the key as __u32"
    if kind in (MapType.QUEUE, MapType.STACK, MapType.BLOOM_FILTER) and key:
        return "the key size", key, "0 bytes, for it has no keys", "leave the key out"
    if kind in kinds.HASHES and not key:
        return "the key size", 0, "1 byte or more", "declare a key"
    if kind == MapType.LPM_TRIE:
        if not spec.flags & MapFlags.NO_PREALLOC:
            expected = f"{int(MapFlags.NO_PREALLOC)} (NO_PREALLOC), perhaps with others"
            return "the flags", int(spec.flags), expected, "set map_flags to BPF_F_NO_PREALLOC"
        if not 5 <= key <= 260:
            hint = "declare the key as a struct of a __u32 prefix length and the data"
            return "the key size", key, "5 to 260 bytes", hint
    return None


def _wrong_value(spec: MapSpec, kind: int, value: int) -> tuple[str, Any, str, str] | None:
    if kind in kinds.DESCRIPTORS and value != 4:
        return "the value size", value, "4 bytes, a descriptor", "declare the value as __u32"
    if not value:
        return "the value size", 0, "1 byte or more", "declare a value"
    if kind == MapType.STACK_TRACE and value % 8:
        hint = "declare the value as an array of __u64, one for each frame"
        return "the value size", value, "a multiple of 8 bytes", hint
    if kind in (MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS) and spec.inner is None:
        hint = "declare it with __array(values, ...), or set inner"
        return "inner", None, "a MapSpec of the shape of the maps it holds", hint
    return None


_SIZED = (kinds.HASHES | kinds.INDEXED | {
    MapType.QUEUE, MapType.STACK, MapType.BLOOM_FILTER, MapType.LPM_TRIE, MapType.STACK_TRACE,
    MapType.HASH_OF_MAPS,
}) - {MapType.CPUMAP, MapType.SOCKMAP, MapType.XSKMAP, MapType.DEVMAP}  # fmt: skip
