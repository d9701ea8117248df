"""ctypes structures and NumPy dtypes as what values are read into, once they are known to fit."""

from __future__ import annotations

import sys

from skep.btf import _values as v
from skep.btf.agreement import Problem, compare
from skep.btf.declare import Declarer
from skep.errors import TypeMismatchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    import numpy as np

    from skep.btf.btf import Btf
    from skep.btf.options import Options


def member_names(of: Any) -> list[str]:
    """Return the names of the fields of a ctypes structure, those of anonymous ones inside."""
    from skep.btf.declare_ctypes import fields_of

    names = []
    anonymous = {name for base in of.__mro__ for name in base.__dict__.get("_anonymous_", ())}
    for name, kind, _ in fields_of(of):
        names += member_names(kind) if name in anonymous else [name]
    return names


def foreign(
    btf: Btf, type_id: int, name: str, inner: v.Codec, want: Any, options: Options
) -> v.Codec:
    """Return the codec whose values are *want*, a ctypes class or NumPy dtype.

    *inner* is the codec of the same type for values of any other shape. Raises
    `TypeMismatchError` with both layouts and what to change when *want* lies in memory otherwise.
    """
    declarer = Declarer(btf.byteorder)
    other_id = declarer.id_of(want)
    other = declarer.btf()
    problems = compare(btf, type_id, other, other_id, options)
    if problems:
        raise _misfit(btf, type_id, name, want, other, other_id, problems, options)
    if _is_ctypes(want):
        return CtypesValue(name, inner, want)
    import numpy as np

    return NumpyValue(name, inner, np.dtype(want))


def _is_ctypes(want: Any) -> bool:
    return any(base.__module__ == "_ctypes" for base in getattr(want, "__mro__", ()))


class _Foreign(v.Codec):
    """Values that are memory: what lies in padding is written as zero all the same."""

    __slots__ = ("_inner", "_mask")

    def __init__(self, name: str, inner: v.Codec) -> None:
        self.type_name = name
        self.size = inner.size
        self.weight = 1
        self._inner = inner
        mask = inner.mask()
        self._mask = 0 if mask == (1 << 8 * self.size) - 1 else mask
        self._blob()

    def mask(self) -> int:
        return self._inner.mask()

    def explain(self, value: Any, path: str) -> None:
        if not self._is_own(value):
            self._inner.explain(value, path)

    def pack(self, value: Any) -> bytes:
        """Encode a value of the class, or of any shape that the type takes otherwise."""
        if not self._is_own(value):
            return self._inner.pack(value)
        data = self._bytes(value)
        if self._mask:
            number = int.from_bytes(data, "little") & self._mask
            data = number.to_bytes(self.size, "little")
        return data

    def _bytes(self, value: Any) -> bytes:
        return bytes(value)

    def _is_own(self, value: Any) -> bool:
        raise NotImplementedError

    def _part(self, buffer: v.Buffer, offset: int) -> bytes:
        data = bytes(buffer[offset : offset + self.size])
        if len(data) != self.size:
            raise self._short(buffer, offset)
        return data


class CtypesValue(_Foreign):
    """A ctypes structure, array or number; every value read is a copy of its own."""

    __slots__ = ("_want",)

    def __init__(self, name: str, inner: v.Codec, want: Any) -> None:
        super().__init__(name, inner)
        self._want = want

    def unpack(self, buffer: v.Buffer, offset: int = 0) -> Any:
        """Return a new object of the class with the bytes at *offset*."""
        return self._want.from_buffer_copy(self._part(buffer, offset))

    def _is_own(self, value: Any) -> bool:
        return isinstance(value, self._want)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype of the C type."""
        return self._inner.dtype


class NumpyValue(_Foreign):
    """A NumPy scalar: a row of a column, as indexing the column gives it."""

    __slots__ = ("_dtype",)

    def __init__(self, name: str, inner: v.Codec, dtype: np.dtype[Any]) -> None:
        super().__init__(name, inner)
        self._dtype = dtype

    def unpack(self, buffer: v.Buffer, offset: int = 0) -> Any:
        """Return a scalar of the dtype that owns its bytes."""
        import numpy as np

        if self._dtype.subdtype is not None:
            base, shape = self._dtype.subdtype
            return np.frombuffer(self._part(buffer, offset), base).reshape(shape)
        return np.frombuffer(self._part(buffer, offset), self._dtype, 1)[0]

    def _is_own(self, value: Any) -> bool:
        return getattr(value, "dtype", None) == self._dtype and not getattr(value, "shape", ())

    def _bytes(self, value: Any) -> bytes:
        import numpy as np

        return np.asarray(value, self._dtype).tobytes()

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype that was asked for."""
        return self._dtype


# -- what to change ------------------------------------------------------------------------


def _misfit(
    btf: Btf,
    type_id: int,
    name: str,
    want: Any,
    other: Btf,
    other_id: int,
    problems: list[Problem],
    options: Options,
) -> TypeMismatchError:
    from skep.btf.layout import layout, side_by_side
    from skep.btf.views import spelled

    ours, theirs = layout(btf, type_id), layout(other, other_id)
    kind = "ctypes class" if _is_ctypes(want) else "NumPy dtype"
    shown = spelled(want) if isinstance(want, type) else "the dtype"
    sentences = "; ".join(problem.why for problem in problems[:_SHOWN])
    if len(problems) > _SHOWN:
        sentences += f"; and {len(problems) - _SHOWN} more"
    return TypeMismatchError(
        f"{shown} does not fit {name}: {sentences}",
        hint=_fix(btf, type_id, want, problems, options),
        expected=name,
        given=want,
        field=problems[0].path,
        problems=[problem.why for problem in problems],
        expected_layout=ours.lines(),
        given_layout=theirs.lines(),
        comparison=side_by_side(
            ours, theirs, titles=("in C", kind), differ={problem.path for problem in problems}
        ),
    )


_SHOWN = 3


def _fix(btf: Btf, type_id: int, want: Any, problems: list[Problem], options: Options) -> str:
    """Return what to change: one change that mends all places, then what is left by member."""
    found: list[str] = []
    left = problems
    for words, changed in _changes(want):
        declarer = Declarer(btf.byteorder)
        try:
            other_id = declarer.id_of(changed)
            rest = compare(btf, type_id, declarer.btf(), other_id, options)
        except TypeMismatchError:
            continue
        if not rest:
            return words
        if len(rest) < len(left) and not any(one.what in _PLACES for one in rest):
            found, left = [words], rest
    for problem in left:
        if problem.what in _PLACES and len(found) > (left is not problems):
            break  # what follows moves with what is mended before
        fix = _of_one(problem, want) or problem.fix
        if fix and fix not in found:
            found.append(fix)
    return "; ".join(found[:_SHOWN])


_PLACES = frozenset({"offset", "size"})


def _of_one(problem: Problem, want: Any) -> str:
    """Return the change of one field that mends one *problem*."""
    own = _is_ctypes(want)
    if problem.what == "order":
        if own:
            return f"make {problem.path} a __ctype_be__, or the class a BigEndianStructure"
        return (
            f"give {problem.path or 'it'} a dtype with '>', like '>u2' (or '<' for little-endian)"
        )
    if problem.what in {"width", "sign", "kind"}:
        words = problem.why.partition(" in C")[0].partition(" is ")[2]
        return f"make {problem.path or 'it'} {words}" if words else ""
    return ""


def _changes(want: Any) -> Iterator[tuple[str, Any]]:
    """Yield (what to change, the result) of the usual mistakes."""
    if _is_ctypes(want):
        yield from _changed_ctypes(want)
    elif not isinstance(want, type):
        yield from _changed_dtype(want)


def _changed_ctypes(want: Any) -> Iterator[tuple[str, Any]]:
    import ctypes

    if not issubclass(want, ctypes.Structure) or want.__mro__[1].__module__ not in {
        "_ctypes",
        "ctypes",
        "ctypes._endian",
    }:
        return
    fields = list(want._fields_)
    parts = {name: getattr(want, name) for name in ("_anonymous_",) if hasattr(want, name)}

    def made(base: Any, **more: Any) -> Any:
        return type(want.__name__, (base,), {**parts, **more, "_fields_": fields})

    base = want.__mro__[1]
    packed = "_pack_" in want.__dict__
    big = ctypes.BigEndianStructure if sys.byteorder == "little" else ctypes.Structure
    order = f"derive it from ctypes.{big.__name__}"
    place = "leave out _pack_: in C the struct is not packed"
    if not packed:
        place = "add _pack_ = 1: in C the struct is packed"
    same, other = (_pack(want._pack_) if packed else {}), ({} if packed else _pack(1))
    try:
        yield place, made(base, **other)
        if base is ctypes.Structure is not big:
            yield order, made(big, **same)
            yield f"{order}; {place}", made(big, **other)
    except (TypeError, ValueError):
        return


def _pack(size: int) -> dict[str, Any]:
    """Return what packs a ctypes class; CPython 3.14 wants to be told how as well."""
    return {"_pack_": size, **({"_layout_": "ms"} if sys.version_info >= (3, 14) else {})}


def _changed_dtype(want: np.dtype[Any]) -> Iterator[tuple[str, Any]]:
    import numpy as np

    if want.names is None:
        yield f"use {want.newbyteorder().str!r}", want.newbyteorder()
        return
    fields: Any = want.fields or {}
    parts = [(name, fields[name][0]) for name in want.names]
    yield "use align=True: C aligns the members", np.dtype(parts, align=True)
    yield "leave out align=True: in C the struct is packed", np.dtype(parts)
    yield "use the other byte order: dtype.newbyteorder()", want.newbyteorder()
