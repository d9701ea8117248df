"""NumPy dtypes as BTF: numbers in both byte orders, text, bytes, sub-arrays, structures."""

from __future__ import annotations

import sys

from skep.errors import TypeMismatchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.btf.declare import Declarer, Member

_NATIVE = "<" if sys.byteorder == "little" else ">"


def dtype_id(declarer: Declarer, of: Any) -> int:
    """Return the id of a dtype, or of the dtype of a scalar type, with the offsets it has."""
    import numpy as np

    dtype = np.dtype(of)
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return declarer.array(dtype_id(declarer, base), *shape)
    if dtype.names is not None:
        members: list[Member] = []
        for name in dtype.names:
            inner, offset = (dtype.fields or {})[name][:2]
            members.append((name, dtype_id(declarer, inner), 8 * offset, 0))
        align = dtype.alignment if dtype.isalignedstruct else 1
        return declarer.composite("", dtype.itemsize, members, align=align)
    kind, size = dtype.kind, dtype.itemsize
    order = _NATIVE if dtype.byteorder in "=|" else dtype.byteorder
    if kind == "b":
        return declarer.named("_Bool")
    if kind in "iu" or (kind == "f" and size <= 8):
        return declarer.number(kind, size, order)
    if kind == "S":
        return declarer.array(declarer.named("char"), size)
    if kind == "V":
        return declarer.array(declarer.named("unsigned char"), size)
    raise TypeMismatchError(
        f"the dtype {dtype} has no C type",
        hint="use integers, floats, bool, S (text) or V (bytes)",
        expected="a C type",
        given=str(dtype),
    )
