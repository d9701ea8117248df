"""`Map.bind`: another view of a live map, whose keys and values are what the caller wants."""

from __future__ import annotations

from skep.btf.options import Options
from skep.errors import RangeError, SkepError, TypeMismatchError, UnsupportedError
from skep.maps.cells import Cells, Index, PerCpu, key_cell, value_cell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Literal

    from skep.maps.cells import Cell
    from skep.maps.spec import MapSpec

    Order = Literal["big", "little"]

_ROLES = ("key", "value")


def bound_cells(
    spec: MapSpec,
    own: Cells,
    key: Any,
    value: Any,
    *,
    enums: Literal["numbers", "names"],
    addresses: bool,
    byteorder: Order | Mapping[str, Order] | None,
) -> Cells:
    """Return the codecs of the map *spec* with what `Map.bind` was given; *own* are its own.

    Raises `TypeMismatchError` with both layouts for a type that does not fit, or options that do
    not.
    """
    orders = _orders(spec, byteorder)
    cells: dict[str, Cell] = {}
    for role, want in (("key", key), ("value", value)):
        type_id = spec.key_type_id if role == "key" else spec.value_type_id
        options = Options(enums=enums, addresses=addresses, byteorder=orders.get(role), want=want)
        plain: Any = getattr(own, role)
        if isinstance(plain, PerCpu):
            plain = plain.cell
        cells[role] = plain if options.plain else _cell(spec, role, type_id, plain, options)
    return Cells(spec, cells["key"], cells["value"])


def _cell(spec: MapSpec, role: str, type_id: int, plain: Cell, options: Options) -> Cell:
    """Return the cell of the map's keys or values with *options*."""
    from skep.btf.codec import Codec, codec

    btf = spec.btf
    try:
        if isinstance(plain, Index):
            return _index(plain, options)
        if not isinstance(plain, Codec) and options.want is None:
            return plain  # a network, a descriptor: the kind of map knows better than BTF
        if btf is None or not type_id:
            return _untyped(spec, role, plain, options)
        made = codec(btf, type_id, options)
    except TypeMismatchError as error:
        raise _at(error, spec, role) from None
    if made.size != plain.size:
        raise _at(
            TypeMismatchError(
                f"{made.type_name} has {made.size} bytes, expected {plain.size}",
                expected=f"{plain.size} bytes",
                given=made.size,
            ),
            spec,
            role,
        )
    return made


def _at(error: TypeMismatchError, spec: MapSpec, role: str) -> TypeMismatchError:
    """Say of which map's key or value *error* is."""
    evidence = {**error.evidence, "map": spec.name, "role": role}
    return TypeMismatchError(
        f"map {spec.name!r}, {role}: {error.message}", hint=error.hint, **evidence
    )


def _index(plain: Index, options: Options) -> Cell:
    """Return the cell of an array's index; an enum, too, counts entries."""
    want = options.want
    if (want is None or want is int) and not options.order:
        return plain
    if options.order:
        raise TypeMismatchError(
            "the index of an array is in the machine's byte order",
            hint="byteorder={'value': ...} means the values",
            expected="u32",
            given="byteorder",
        )
    return _described("u32", options)


def _described(name: str, options: Options) -> Cell:
    """Return the codec of the C type *name*, with *options*."""
    from skep.btf.codec import codec
    from skep.btf.declare import declared

    return codec(*declared(name), options)


def _untyped(spec: MapSpec, role: str, plain: Cell, options: Options) -> Cell:
    """Return the cell of keys or values whose type nobody knows: the class says what they are."""
    want = options.want
    if want is None and not options.order and not options.orders:
        return plain  # nothing to read otherwise
    if want is None:
        why = "it has no BTF"
        if spec.untyped is not None:
            why = f"its types could not be read ({spec.untyped.message})"
        raise UnsupportedError(
            f"the {role}s of map {spec.name!r} have no type to give a byte order: {why}",
            hint=f"bind a class as well: bind({role}=...)",
            feature="byteorder",
        )
    from skep.btf.codec import codec
    from skep.btf.declare import declared

    btf, type_id = declared(want)
    made = codec(btf, type_id, options)
    if made.size != plain.size:
        raise TypeMismatchError(
            f"{made.type_name} has {made.size} bytes, and the map's {role}s have {plain.size}",
            hint="no type of the map is known: the class has to say where every byte is",
            expected=f"{plain.size} bytes",
            given=made.size,
        )
    return made


def _orders(spec: MapSpec, given: Order | Mapping[str, Order] | None) -> dict[str, Any]:
    """Return the byte orders of key and value: "big", or a mapping of members.

    A single word means the value. In a mapping, ``"key"`` and ``"value"`` mean the whole,
    ``"key.port"`` a member; a member that only one of the two has needs no ``key.`` before it.
    """
    if given is None or isinstance(given, str):
        return {} if given is None else {"value": given}
    if not hasattr(given, "items") or not all(isinstance(path, str) for path in given):
        raise TypeMismatchError(
            f"map {spec.name!r}: byteorder is 'big', 'little' or a mapping of members to one of"
            f" them, not {type(given).__name__} {given!r:.60}",
            expected="'big', 'little' or a mapping",
            given=given,
            map=spec.name,
        )
    found: dict[str, Any] = {}
    for path, order in given.items():
        role, dot, rest = path.partition(".")
        if role not in _ROLES or (dot and not rest):
            role, rest = _role_of(spec, path), path
        if not rest:
            found[role] = order
        elif isinstance(found.setdefault(role, {}), dict):
            found[role][rest] = order
        else:
            raise RangeError(
                f"map {spec.name!r}: byteorder has {role!r} and a member of it",
                expected="one of the two",
                given=dict(given),
            )
    return found


def _role_of(spec: MapSpec, path: str) -> str:
    """Return whether *path* is a member of the value or of the key."""
    name = path.partition(".")[0]
    has = [role for role in _ROLES if name in _members(spec, role)]
    if len(has) == 1:
        return has[0]
    if has:
        raise TypeMismatchError(
            f"map {spec.name!r}: byteorder of {path!r}, which key and value both have",
            hint=f"write 'key.{path}' or 'value.{path}'",
            expected="one of the two",
            given=path,
            map=spec.name,
        )
    names = [f"{role}.{one}" for role in _ROLES for one in _members(spec, role)]
    raise TypeMismatchError(
        f"map {spec.name!r}: byteorder of {path!r}, which neither key nor value has",
        hint=f"there are {', '.join([*_ROLES, *names])}",
        expected="a member of the key or value",
        given=path,
        map=spec.name,
    )


def _members(spec: MapSpec, role: str) -> list[str]:
    try:
        cell: Any = key_cell(spec) if role == "key" else value_cell(spec)
    except SkepError:
        return []
    return [field.name for field in getattr(cell, "fields", ())]
