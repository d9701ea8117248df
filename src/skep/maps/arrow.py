"""A whole map as an Arrow table: which columns it has, and from which bytes each is made."""

from __future__ import annotations

import numpy as np

from skep.arrow import fields
from skep.arrow.describe import Choices, of_codec
from skep.arrow.table import Table, binary
from skep.errors import RangeError, UnsupportedError
from skep.maps import columns
from skep.maps.cells import PerCpu

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.arrow.fields import Field
    from skep.maps.map import Map

    Bytes = np.ndarray[Any, Any]
    _Side = list[tuple[Field, int, int]]

_CPUS = ("lists", "rows")
_ENUMS = ("numbers", "names")


def to_arrow(map: Map, *, cpus: str, enums: str, text: str, drain: bool) -> Table:
    """Return the keys and values of *map* as a table; see `Map.to_arrow`."""
    for name, given, known in (("cpus", cpus, _CPUS), ("enums", enums, _ENUMS)):
        if given not in known:
            expected = " or ".join([repr(one) for one in known])
            message = f"{name} is {given!r}, expected {expected}"
            raise RangeError(message, expected=expected, given=given)
    wanted = Choices(rows=0, names=enums == "names", binary=binary(text))
    _sides(map, wanted, cpus)  # what cannot be exported is not drained first
    if drain:
        columns.check_drain(map)
    rows, keys, values = columns.raw(map, delete=drain)
    cells = map.cells
    key = _reshaped(keys, rows, cells.key.size)
    value = _reshaped(values, rows, cells.value.size)
    wanted.rows = rows
    sides = [key, value]
    if isinstance(cells.value, PerCpu) and cpus == "rows":
        count, slot = cells.value.cpus, cells.value.slot
        wanted.rows *= count
        numbers = np.tile(np.arange(count, dtype=np.uint16), rows).view(np.uint8)
        sides = [
            np.repeat(key, count, axis=0),
            numbers.reshape(-1, 2),
            value.reshape(rows * count, slot),
        ]
    named, made = [], []
    for raw, side in zip(sides, _sides(map, wanted, cpus), strict=True):
        for field, start, end in side:
            named.append(field)
            made.append(field.column(raw[:, start:end]))
    return Table(named, made)


def _reshaped(data: Any, rows: int, size: int) -> Bytes:
    array = np.frombuffer(data, np.uint8, rows * size) if rows else np.empty(0, np.uint8)
    return array.reshape(rows, size)


def _sides(map: Map, choices: Choices, cpus: str) -> list[_Side]:
    """Return the fields of the key, perhaps of the CPU, and of the value, with their places."""
    cells = map.cells
    value: Any = cells.value
    try:
        if not isinstance(value, PerCpu):
            found = [_side("key", cells.key, choices), _side("value", value, choices)]
        elif cpus == "rows":
            number = fields.Number("cpu", np.dtype(np.uint16))
            found = [
                _side("key", cells.key, choices),
                [(number, 0, 2)],
                _side("value", value.cell, choices),
            ]
        else:
            inside = _side("value", value.cell, choices)
            lists: _Side = [(_listed(one, value), 0, value.size) for one in inside]
            found = [_side("key", cells.key, choices), lists]
    except UnsupportedError as error:
        message = f"map {map.name!r} cannot be a table: {error.message}"
        evidence = {**error.evidence, "map": map.name}
        raise UnsupportedError(message, hint=error.hint, **evidence) from None
    _part(found)
    return found


def _side(role: str, cell: Any, choices: Choices) -> _Side:
    """Return the columns of a key or value: one for each member of a struct, else one."""
    field = of_codec(role, cell, choices)
    if isinstance(field, fields.Group):
        return [(one, start, end) for one, (start, end) in field.members()]
    return [(field, 0, cell.size)]


def _listed(one: tuple[Field, int, int], value: PerCpu) -> Field:
    """Return a column of lists, one item for each CPU, of what is *one* in each slot."""
    field, start, end = one
    name, field.name = field.name, "item"
    return fields.Items(name, field, value.cpus, end - start, step=value.slot, offset=start)


def _part(sides: list[_Side]) -> None:
    """Give columns of the same name that of their side in front: ``key.pid``, ``value.pid``."""
    names = [field.name for side in sides for field, _, _ in side]
    roles = ("key", "value") if len(sides) == 2 else ("key", "cpu", "value")
    for role, side in zip(roles, sides, strict=True):
        for field, _, _ in side:
            if names.count(field.name) > 1:
                field.name = f"{role}.{field.name}"
