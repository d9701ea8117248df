"""NumPy dtypes from BTF: the bytes of a type as columns, in place.

| BTF | dtype |
|---|---|
| integer, enum, pointer, float | `i1..i8`, `u1..u8`, `f2..f8`, the blob's byte order |
| `bool` | `?` |
| `__be16/32/64`, `__le16/32/64` | that byte order |
| `char[N]` | `SN`: trailing NULs are not seen, bytes after the first NUL are |
| `unsigned char[N]` | `u1` of shape `(N,)` |
| other arrays | the element's dtype of shape `(N,)` or `(N, M)` |
| `__int128` | `V16` |
| addresses of 4 bytes; of 16 | `>u4`; `u1` of shape `(16,)` |
| struct, union | structured, exact offsets and itemsize; the fields of a union overlap |

Members of anonymous structs and unions are fields of the structure around them. A bit-field is a
field only when it is whole bytes: NumPy has no narrower type.

NumPy is imported by the functions, not with the module.
"""

from __future__ import annotations

from skep.btf import _values as v
from skep.btf._composite import Composite
from skep.btf.codec import codec
from skep.errors import BtfError, UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    import numpy as np

    from skep.btf.btf import Btf


def dtype(btf: Btf, type_id: int) -> np.dtype[Any]:
    """Return the dtype of type *type_id*; its itemsize is the type's size.

    Raises `UnsupportedError` naming the member for a bit-field that is not whole bytes and for
    `long double`, `BtfError` for a type without a size.
    """
    return dtype_of(codec(btf, type_id))


def dtype_of(of: v.Codec) -> np.dtype[Any]:
    """Return the dtype of the values of a codec; errors as `dtype`."""
    import numpy as np

    try:
        made: np.dtype[Any] = np.dtype(_spec(of, np))
    except (ValueError, TypeError, OverflowError) as error:
        # Items of 2 GiB and more, arrays of more dimensions than NumPy's: BTF can say both.
        raise BtfError(f"{of.type_name} does not make a NumPy dtype: {error}") from error
    return made


def _spec(of: v.Codec, np: Any) -> Any:
    """Return something `np.dtype` accepts."""
    if isinstance(of, v.Scalar):
        if of.char == "?":
            return "?"
        kind = "f" if of.char in "efd" else "i" if of.char.islower() else "u"
        return f"{of.order}{kind}{of.size}"
    if isinstance(of, v.String):
        return f"S{of.size}"
    if isinstance(of, v.Opaque):
        return f"V{of.size}"
    if isinstance(of, v.Raw):
        return ("u1", (of.size,))
    if isinstance(of, (v.Numbers, v.Array)):
        return (np.dtype(_spec(of.element, np)), (of.length,))
    if isinstance(of, v.BigInteger):
        return f"V{of.size}"
    if isinstance(of, Composite):
        return _structured(of, np)
    if type(of).dtype is not v.Codec.dtype:
        return of.dtype  # a class that the caller gave
    if of.size in {4, 16}:  # an address
        return f"{getattr(of, 'order', '>')}u4" if of.size == 4 else ("u1", (16,))
    raise UnsupportedError(f"{of.type_name} has no NumPy dtype", feature=of.type_name)


def _structured(of: Composite, np: Any) -> Any:
    formats = []
    for field in of.fields:
        inner = field.codec
        if isinstance(inner, v.BitField):
            if inner.mask() != (1 << 8 * inner.size) - 1 or inner.size not in {1, 2, 4, 8}:
                raise UnsupportedError(
                    f"member {field.name} of {of.type_name} is a bit-field, which has no NumPy"
                    " dtype",
                    hint="to_arrow() has a column for it; or read record by record",
                    feature="bit-field columns",
                )
            formats.append(f"{inner.order}{'i' if inner.signed else 'u'}{inner.size}")
        else:
            formats.append(_spec(inner, np))
    return np.dtype(
        {
            "names": [field.name for field in of.fields],
            "formats": formats,
            "offsets": [field.offset for field in of.fields],
            "itemsize": of.size,
        }
    )
