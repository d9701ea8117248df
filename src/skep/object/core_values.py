"""CO-RE kinds, and the numbers that describe a field: offset, size, sign, shifts.

The kinds and their encoding are `enum bpf_core_relo_kind` of include/uapi/linux/bpf.h; the shift
formulas follow from what `__CORE_RELO(…, LSHIFT_U64)` has to undo (bpf_core_read.h).
"""

from __future__ import annotations

from skep.btf import types as t
from skep.errors import BtfError
from skep.kernel.enums import IntEnum
from skep.object.core_types import MAX_DEPTH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.object.core import Answer
    from skep.object.core_path import Place


class RelocationKind(IntEnum):
    """`enum bpf_core_relo_kind`."""

    FIELD_BYTE_OFFSET = 0
    FIELD_BYTE_SIZE = 1
    FIELD_EXISTS = 2
    FIELD_SIGNED = 3
    FIELD_LSHIFT_U64 = 4
    FIELD_RSHIFT_U64 = 5
    TYPE_ID_LOCAL = 6
    TYPE_ID_TARGET = 7
    TYPE_EXISTS = 8
    TYPE_SIZE = 9
    ENUMVAL_EXISTS = 10
    ENUMVAL_VALUE = 11
    TYPE_MATCHES = 12


K = RelocationKind


def field_value(place: Place, kind: int) -> tuple[int, bool]:
    """Compute one fact about a field, and whether the compiler's own value can be relied on.

    The kinds are the field ones except FIELD_EXISTS (1 here). For bit-fields, offset and size
    describe the smallest aligned unit of 1, 2, 4 or 8 bytes that holds all its bits; compilers
    choose differently. Raises `BtfError` when there is none.
    """
    btf = place.btf
    bits = place.bit_size
    if kind == K.FIELD_EXISTS:
        return 1, True
    if kind == K.FIELD_SIGNED:
        field = btf.strip(place.type_id)
        return int(isinstance(field, t.Int | t.Enum) and field.signed), True
    size = btf.size_of(place.type_id)
    start = place.bit_offset // 8
    if bits:
        size = max(size, 1)
        while True:
            start = place.bit_offset // 8 // size * size
            if place.bit_offset + bits <= (start + size) * 8:
                break
            if size >= 8:
                raise BtfError("it is a bit-field that no aligned 8 bytes hold")
            size *= 2
    width = bits or size * 8
    if kind == K.FIELD_BYTE_OFFSET:
        return start, not bits
    if kind == K.FIELD_BYTE_SIZE:
        return size, not bits
    if kind == K.FIELD_RSHIFT_U64:
        return 64 - width, True
    # The value is read into a u64; the left shift drops what is above the field's top bit.
    before = place.bit_offset - start * 8
    if btf.byteorder == "little":
        return 64 - before - width, not bits
    return (8 - size) * 8 + before, not bits


def compare_sizes(answer: Answer, local: Place, target: Place) -> None:
    """Note the sizes of a field whose offset is asked, for loads and stores of it."""
    old, new = _element(local), _element(target)
    try:
        mine, theirs = local.btf.size_of(old.id), target.btf.size_of(new.id)
    except BtfError:
        return
    if mine == theirs:
        return
    answer.local_size, answer.size = mine, theirs
    # A pointer is 32 bits wide in 32-bit kernels. An unsigned integer may shrink or grow: a load
    # clears the upper bits. A signed one would need its sign extended.
    if isinstance(old, t.Pointer) and isinstance(new, t.Pointer):
        return
    if isinstance(old, t.Int) and isinstance(new, t.Int) and not old.signed and not new.signed:
        return
    answer.resize_problem = (
        f"it has {theirs} bytes in {target.btf.name or 'the target'}'s BTF and {mine} in the"
        " object, and is no unsigned integer"
    )


def _element(place: Place) -> t.Type:
    """Return the field's type, through arrays: a load moves one element."""
    found = place.btf.strip(place.type_id)
    for _ in range(MAX_DEPTH):
        if not isinstance(found, t.Array):
            break
        found = place.btf.strip(found.type_id)
    return found
