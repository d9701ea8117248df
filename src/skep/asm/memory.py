"""Builders of instructions that touch memory, and of those that load a reference to something."""

from __future__ import annotations

from skep.asm import opcodes as op
from skep.asm.instruction import (
    ABS,
    ATOMIC,
    IND,
    LD,
    LD_IMM64,
    LDX,
    MEM,
    MEMSX,
    PSEUDO_BTF_ID,
    PSEUDO_FUNC,
    PSEUDO_MAP_FD,
    PSEUDO_MAP_IDX,
    PSEUDO_MAP_IDX_VALUE,
    PSEUDO_MAP_VALUE,
    SIZE_BITS,
    ST,
    STX,
    Instruction,
)
from skep.asm.items import Item, Register, distance, immediate, register
from skep.errors import RangeError, TypeMismatchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.asm.items import MapLike, Needs, Target


def load(size: int, dst: int, src: int, offset: int = 0, *, signed: bool = False) -> Item:
    """`dst = *(u<8*size> *)(src + offset)`; *size* is 1, 2, 4 or 8 bytes.

    The rest of *dst* becomes zero, or with *signed* the sign (v4; not for 8 bytes).
    """
    if signed and size == 8:
        raise RangeError("a load of 8 bytes has nothing to sign-extend; leave out signed")
    code = LDX | (MEMSX if signed else MEM) | _size_bits(size)
    return Item(code, _whole(dst), _whole(src, "address"), distance(offset, "load"))


def store(size: int, dst: int, offset: int, value: int) -> Item:
    """`*(u<8*size> *)(dst + offset) = value`: a register, or a number of 32 bits signed."""
    code = MEM | _size_bits(size)
    dst = _whole(dst, "address")
    offset = distance(offset, "store")
    if isinstance(value, Register):
        return Item(STX | code, dst, value, offset)
    imm = immediate(value, 64 if size == 8 else 32, "store")
    return Item(ST | code, dst, offset=offset, imm=imm)


def ld_abs(size: int, offset: int) -> Item:
    """`r0 = *(u<8*size> *)skb[offset]`, from the packet, in host order (1, 2 or 4 bytes).

    An old form for socket filters and tc: r6 must hold the context, r1 to r5 are lost, and the
    program ends with 0 where the packet is too short.
    """
    return Item(LD | ABS | _size_bits(size, 4), imm=immediate(offset, 32, "ld_abs"))


def ld_ind(size: int, src: int, offset: int = 0) -> Item:
    """`r0 = *(u<8*size> *)skb[src + offset]`: `ld_abs` with a register added."""
    code = LD | IND | _size_bits(size, 4)
    return Item(code, src=_whole(src, "index"), imm=immediate(offset, 32, "ld_ind"))


# -- atomics ------------------------------------------------------------------------------


def _atomic(operation: int, size: int, dst: int, offset: int, src: int) -> Item:
    if size not in (4, 8):
        raise RangeError(f"atomic operations have 4 or 8 bytes, not {size}", given=size)
    code = STX | ATOMIC | SIZE_BITS[size]
    return Item(
        code,
        _whole(dst, "address"),
        register(src, "operand"),
        distance(offset, "atomic"),
        operation,
    )


def atomic_add(size: int, dst: int, offset: int, src: int, *, fetch: bool = False) -> Item:
    """`lock *(dst + offset) += src`; with *fetch*, *src* becomes the old value (v3).

    *size* is 4 or 8 bytes.
    """
    return _atomic(op.ATOMIC_ADD | fetch, size, dst, offset, src)


def atomic_or(size: int, dst: int, offset: int, src: int, *, fetch: bool = False) -> Item:
    """`lock *(dst + offset) |= src`; with *fetch*, *src* becomes the old value (v3)."""
    return _atomic(op.ATOMIC_OR | fetch, size, dst, offset, src)


def atomic_and(size: int, dst: int, offset: int, src: int, *, fetch: bool = False) -> Item:
    """`lock *(dst + offset) &= src`; with *fetch*, *src* becomes the old value (v3)."""
    return _atomic(op.ATOMIC_AND | fetch, size, dst, offset, src)


def atomic_xor(size: int, dst: int, offset: int, src: int, *, fetch: bool = False) -> Item:
    """`lock *(dst + offset) ^= src`; with *fetch*, *src* becomes the old value (v3)."""
    return _atomic(op.ATOMIC_XOR | fetch, size, dst, offset, src)


def atomic_xchg(size: int, dst: int, offset: int, src: int) -> Item:
    """Exchange *src* and what is at *dst* + *offset* (v3)."""
    return _atomic(op.XCHG, size, dst, offset, src)


def atomic_cmpxchg(size: int, dst: int, offset: int, src: int) -> Item:
    """Store *src* if the memory equals r0; r0 becomes the old value in any case (v3)."""
    return _atomic(op.CMPXCHG, size, dst, offset, src)


def load_acquire(size: int, dst: int, src: int, offset: int = 0) -> Item:
    """Load 1, 2, 4 or 8 bytes before any later access, `dst = *(src + offset)` (Linux 6.15)."""
    code = STX | ATOMIC | _size_bits(size)
    address = _whole(src, "address")
    return Item(code, register(dst), address, distance(offset, "load_acquire"), op.LOAD_ACQUIRE)


def store_release(size: int, dst: int, offset: int, src: int) -> Item:
    """Store 1, 2, 4 or 8 bytes after every earlier access, `*(dst + offset) = src` (Linux 6.15)."""
    code = STX | ATOMIC | _size_bits(size)
    address, value = _whole(dst, "address"), register(src, "value")
    return Item(code, address, value, distance(offset, "store_release"), op.STORE_RELEASE)


# -- constants and references -------------------------------------------------------------


def ld_imm64(dst: int, value: int, *, src: int = 0) -> list[Instruction]:
    """`dst = value`, 64 bits, two slots; *src* is one of the PSEUDO_* numbers.

    Raises `RangeError` outside -2**63 .. 2**64 - 1.
    """
    if not -(1 << 63) <= value < 1 << 64:
        raise RangeError(f"{value} does not fit the 64 bits of a ld_imm64", given=value)
    value &= (1 << 64) - 1
    return _pair(dst, src, value & 0xFFFFFFFF, value >> 32)


def load_map(dst: int, map: MapLike) -> list[Instruction]:
    """`dst = map`: a live map, the name of one, or a descriptor.

    Names are looked up when the program is loaded: in its `maps`, or in those of its object.
    """
    if isinstance(map, int):
        return _pair(dst, PSEUDO_MAP_FD, map)
    return _pair(dst, PSEUDO_MAP_FD, needs="map", target=map)


def load_map_value(dst: int, map: MapLike, offset: int = 0) -> list[Instruction]:
    """`dst = &value + offset`: into the first value of an array map."""
    if isinstance(map, int):
        return _pair(dst, PSEUDO_MAP_VALUE, map, offset)
    return _pair(dst, PSEUDO_MAP_VALUE, 0, offset, needs="map value", target=map)


def load_map_index(dst: int, index: int) -> list[Instruction]:
    """`dst = map` number *index* of the load's descriptor array (Linux 5.14)."""
    return _pair(dst, PSEUDO_MAP_IDX, index)


def load_map_index_value(dst: int, index: int, offset: int = 0) -> list[Instruction]:
    """`dst = &value + offset` in map number *index* of the load's descriptor array."""
    return _pair(dst, PSEUDO_MAP_IDX_VALUE, index, offset)


def load_btf_id(dst: int, type_id: int, *, btf: int = 0) -> list[Instruction]:
    """`dst = &variable`, the kernel variable with this BTF id; *btf* is a module's descriptor."""
    return _pair(dst, PSEUDO_BTF_ID, type_id, btf)


def load_function(dst: int, function: Target) -> list[Instruction]:
    """`dst = function`, a local one given by its label: what helpers take as a callback."""
    if isinstance(function, int):
        return _pair(dst, PSEUDO_FUNC, function)
    return _pair(dst, PSEUDO_FUNC, needs="function", target=function)


def _pair(
    dst: int,
    src: int,
    low: int = 0,
    high: int = 0,
    *,
    needs: Needs = "",
    target: Target | MapLike = 0,
) -> list[Instruction]:
    for value in (low, high):
        if not -(1 << 31) <= value < 1 << 32:
            raise RangeError(f"{value} does not fit 32 bits", given=value)
    first = Item(LD_IMM64, _whole(dst), src, imm=low, needs=needs, target=target)
    return [first, Instruction(0, imm=high)]


def _whole(dst: int, role: str = "destination") -> Register:
    dst = register(dst, role)
    if dst.bits != 64:
        message = f"the {role} of this instruction is a whole register: R{int(dst)}, not {dst}"
        raise TypeMismatchError(message, expected="a register of 64 bits", given=dst)
    return dst


def _size_bits(size: int, largest: int = 8) -> int:
    bits = SIZE_BITS.get(size)
    if bits is None or size > largest:
        sizes = "1, 2, 4 or 8" if largest == 8 else "1, 2 or 4"
        raise RangeError(f"a load or store of {size} bytes does not exist; it is {sizes}")
    return bits
