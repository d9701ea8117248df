"""The target that reads a hostile BTF in every way that maps and `skep btf layout` do."""

from __future__ import annotations

import ctypes
import enum
from dataclasses import dataclass, make_dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from skep.arrow import export
from skep.arrow.describe import Choices, of_codec
from skep.arrow.table import Table
from skep.btf import types as t
from skep.btf.agreement import compare
from skep.btf.btf import Btf
from skep.btf.codec import Options, codec
from skep.btf.declare import declared
from skep.btf.dtype import dtype_of
from skep.btf.layout import layout, side_by_side
from skep.btf.layout_check import check
from skep.btf.record import Record, RecordType
from skep.btf.tags import tags_of
from skep.errors import SkepError

if TYPE_CHECKING:
    from collections.abc import Callable

    T = TypeVar("T")

_TYPES = 12  # of one blob
_VALUE = 1 << 10  # bytes
_LINES = 1 << 12  # rows of a layout that are made into text
_MEMBERS = 32  # of a class made for a type


class _Number(enum.IntEnum):
    ONE = 1


class _Flag(enum.IntFlag):
    ONE = 1


class _Struct(ctypes.Structure):
    _fields_ = (("a", ctypes.c_uint32), ("b", ctypes.c_int32 * 2))


@dataclass
class _Data:
    a: int
    b: tuple[int, ...]


class _Record(Record):
    a: int
    b: str = ""


WANTS = (
    int, str, bytes, bool, float, tuple, tuple[int, ...], IPv4Address, IPv6Address, _Number, _Flag,
    _Struct, _Data, _Record, np.uint32, np.dtype("S16"), np.dtype([("a", ">u4"), ("b", "u1", 3)]),
)  # fmt: skip
CHOICES = (
    Options(enums="names"),
    Options(addresses=False),
    Options(byteorder="big"),
    Options(byteorder={"a": "big", "b.a": "little"}),
    *(Options(want=want) for want in WANTS),
)


def quietly(function: Callable[..., T], *args: Any, **kwargs: Any) -> T | None:
    """Call *function*; None where it refuses with one of our own errors."""
    try:
        return function(*args, **kwargs)
    except SkepError as error:
        str(error)
        return None


def types_target(data: bytes) -> None:
    """Lay out, read as all kinds of classes, and export every type of a BTF blob."""
    btf = quietly(Btf.from_bytes, data, name="fuzzed")
    if btf is None:
        return
    quietly(tags_of, btf)
    last = len(btf)
    ids = range(last) if last <= _TYPES else [*range(_TYPES // 2), *range(last - _TYPES // 2, last)]
    for id_ in ids:
        found = quietly(btf.type, id_)
        if found is not None:
            _visit_layout(btf, id_)
            _visit_views(btf, id_, found)


def _visit_layout(btf: Btf, id_: int) -> None:
    made = quietly(layout, btf, id_)
    if made is not None:
        if made.size != btf.size_of(id_):
            raise AssertionError(f"type {id_} has {btf.size_of(id_)} bytes, its layout {made.size}")
        repr(made)
        if len(made.rows) <= _LINES:
            "\n".join(made.lines()).encode()
            made.asdict()
            side_by_side(made, made, titles=("left", "right"))
    for arch in ("i386", "arm", "s390x"):
        other = quietly(layout, btf, id_, arch, expand=False)
        if made is not None and other is not None and len(made.rows) + len(other.rows) < _LINES:
            side_by_side(made, other, titles=("", arch))
    for role in ("type", "key", "value"):
        for finding in quietly(check, btf, id_, role=role) or []:
            str(finding)
            finding.asdict()


def _visit_views(btf: Btf, id_: int, found: t.Type) -> None:
    plain = quietly(codec, btf, id_)
    classes: list[Any] = []
    if isinstance(found, t.Composite) and 0 < len(found.members) <= _MEMBERS:
        classes = [quietly(_record_of, found), _dataclass_of(found)]
    more = [Options(want=one) for one in classes if one is not None]
    for options in (*CHOICES, *more):
        made = quietly(codec, btf, id_, options)
        if made is None:
            continue
        if plain is not None and made.size != plain.size:
            raise AssertionError(f"type {id_} has {plain.size} bytes, {made.size} as a view")
        _visit_codec(made, id_)
    if plain is not None:
        _visit_codec(plain, id_)
        _visit_columns(btf, id_, plain)


def _visit_codec(made: Any, id_: int) -> None:
    if made.size > _VALUE or made.weight > _VALUE:
        return
    value = quietly(made.unpack, bytes(made.size))
    repr(value)
    packed = None if value is None else quietly(made.pack, value)
    if packed is not None and packed != bytes(made.size):
        raise AssertionError(f"zeros of type {id_} change when they are decoded and encoded")
    full = quietly(made.unpack, b"\xff" * made.size)
    quietly(made.pack, full)
    for wrong in (None, {}, (), {"a": 1}, "text", 1 << 70, [None] * 3):
        quietly(made.pack, wrong)


def _visit_columns(btf: Btf, id_: int, plain: Any) -> None:
    columns = quietly(dtype_of, plain)
    if columns is not None and columns.itemsize == plain.size <= _VALUE:
        described = quietly(declared, columns)
        if described is not None:
            for problem in quietly(compare, btf, id_, *described) or []:
                str(problem.why)
    if plain.size > _VALUE or plain.weight > _VALUE:
        return
    for rows, names in ((0, False), (3, True)):
        field = quietly(of_codec, "c", plain, Choices(rows=rows, names=names))
        if field is None:
            continue
        column = field.column(np.full((rows, plain.size), 0xFF, np.uint8))
        if column.length != rows:
            raise AssertionError(f"a column of {rows} rows of type {id_} has {column.length}")
        table = Table([field], [column])
        table.__arrow_c_schema__()
        export.array_capsule(column)


def _record_of(found: t.Composite) -> Any:
    names = {member.name: object for member in found.members if member.name.isidentifier()}
    return RecordType("made", (Record,), {"__annotations__": names})


def _dataclass_of(found: t.Composite) -> Any:
    names = [member.name for member in found.members]
    try:
        return make_dataclass("made", [(name, "object") for name in names])
    except (TypeError, ValueError):
        return None
