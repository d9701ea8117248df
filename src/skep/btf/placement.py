"""Where the members of a struct are on another architecture than the one BTF was made for.

BTF records offsets, sizes and bit-fields as the compiler chose them, and not the attributes that
made it choose so. They are inferred: a struct that contradicts the alignment of its members is
packed; a member further back than it had to be is aligned to the least power of two that explains
its place; what no alignment explains are unnamed bits, and stay. Then the members are placed again
by the rules of the other architecture (System V ABI, section "Aggregates and Unions").

What leaves no trace in 64-bit offsets cannot be inferred: `aligned(8)` on a `u64`, which i386 would
have aligned to 4, or unnamed bit-fields, whose type Arm's rules (AAPCS64, "Bit-fields") align the
struct to.
"""

from __future__ import annotations

from skep.btf import types as t
from skep.btf.abi import Abi, abi
from skep.btf.btf import MAX_DEPTH
from skep.errors import BtfError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.btf.btf import Btf

# What C calls the integers as wide as a machine word; usize is Rust's.
_WORDS = frozenset(
    {
        "isize",
        "long",
        "long int",
        "long unsigned int",
        "unsigned long",
        "unsigned long int",
        "usize",
    }
)
# 64 bits everywhere, whatever the C library made them of on the machine that wrote the BTF.
_FIXED = frozenset(
    {
        "__be64",
        "__int64_t",
        "__le64",
        "__s64",
        "__u64",
        "__uint64_t",
        "int64_t",
        "int_fast64_t",
        "int_least64_t",
        "intmax_t",
        "s64",
        "u64",
        "u_int64_t",
        "uint64_t",
        "uint_fast64_t",
        "uint_least64_t",
        "uintmax_t",
    }
)
# Declared with an alignment of 8 that shows only where 64-bit integers have less
# (include/uapi/linux/types.h and bpf.h).
_ALIGNED = frozenset(
    {
        "__aligned_be64",
        "__aligned_le64",
        "__aligned_s64",
        "__aligned_u64",
        "aligned_be64",
        "aligned_le64",
        "aligned_u64",
        "atomic64_t",
        "bpf_dynptr",
        "bpf_iter_num",
        "bpf_list_head",
        "bpf_list_node",
        "bpf_rb_node",
        "bpf_rb_root",
        "bpf_timer",
        "bpf_wq",
    }
)
_MAX_ALIGN = 1 << 16


class Placement:
    """A struct or union as one architecture has it; sizes in bytes, `offsets` in bits.

    `packed`: only `__attribute__((packed))` makes it so. `forced` are the indices of the members
    that an attribute moved.
    """

    __slots__ = ("alignment", "forced", "offsets", "packed", "size")

    def __init__(
        self, size: int, alignment: int, offsets: list[int], packed: bool, forced: list[int]
    ) -> None:
        self.size = size
        self.alignment = alignment
        self.offsets = offsets
        self.packed = packed
        self.forced = forced


class Placer:
    """Places the types of one `Btf` on one architecture; keeps what it has found out."""

    __slots__ = ("_known", "_source", "abi", "btf")

    def __init__(self, btf: Btf, target: Abi | None = None) -> None:
        self.btf = btf
        self.abi = target or abi("x86_64")
        # The architecture the BTF is of: it says which offsets are unforced there.
        self._source = self if target is None else Placer(btf)
        self._known: dict[int, Placement] = {}

    @property
    def is_source(self) -> bool:
        """Whether this is where the BTF was made for: all is where BTF says."""
        return self._source is self

    def size_align(self, type_id: int, depth: int = MAX_DEPTH) -> tuple[int, int]:
        """Return size and alignment of a type in bytes; raises `BtfError` without a size."""
        btf, least, fixed = self.btf, 1, False
        if not depth:
            raise BtfError(f"BTF of {btf.name}: type {type_id} is nested too deep")
        found = btf.type(type_id)
        for _ in range(MAX_DEPTH):
            if found.name in _ALIGNED:
                least = 8
            if not isinstance(found, t.Modifier):
                break
            fixed = fixed or found.name in _FIXED
            found = btf.type(found.type_id)
        if isinstance(found, t.Composite):
            placed = self.place(found, depth)
            return placed.size, max(least, placed.alignment)
        if isinstance(found, t.Array):
            size, align = self.size_align(found.type_id, depth - 1)
            size *= found.length
            if size >> 32:
                raise BtfError(f"BTF of {btf.name}: type {type_id} claims {size} bytes")
            return size, align
        if isinstance(found, t.Var):
            return self.size_align(found.type_id, depth - 1)
        if isinstance(found, t.DataSec):
            return found.size, 8
        size, align = self._number(found, fixed)
        return size, max(least, align)

    def _number(self, found: t.Type, fixed: bool) -> tuple[int, int]:
        size = self.btf.size_of(found.id)
        word = self.abi.word
        is_long = isinstance(found, t.Int) and size == 8 and found.name in _WORDS and not fixed
        if is_long or isinstance(found, t.Pointer):
            size = word
        elif isinstance(found, t.Float) and size > 8 and not self.is_source:
            return self.abi.long_double
        return size, self.abi.aligns.get(size, 4)

    def place(self, found: t.Composite, depth: int = MAX_DEPTH) -> Placement:
        """Return where the members of *found* are."""
        known = self._known.get(found.id)
        if known is None:
            known = self._known[found.id] = self._place(found, depth)
        return known

    def _place(self, found: t.Composite, depth: int) -> Placement:
        btf, source = self.btf, self._source
        packed = btf.is_packed(found)
        forced: list[int] = []
        offsets: list[int] = []
        was = now = 0  # bits taken, as recorded and here
        largest = here = 0
        align = 1
        for index, member in enumerate(found.members):
            size, own = self.size_align(member.type_id, depth - 1)
            old_size, old = source.size_align(member.type_id, depth - 1)
            if member.bit_offset % (8 * old):
                old = btf.align_of(member.type_id)  # what was inferred does not hold here
                own = min(own, old)
            if packed:
                own = old = 1
            if isinstance(found, t.Union):
                was = now = 0
            bits = member.bit_size
            if bits:
                unit = btf.bit_field_unit(member)
                natural = was if packed or _fits(was, bits, unit, old) else _up(was, 8 * old)
                start = now if packed or _fits(now, bits, 8 * size, own) else _up(now, 8 * own)
            else:
                natural, start = _up(was, 8 * old), _up(now, 8 * own)
            if member.bit_offset > natural:
                forced.append(index)
                wanted = _explain(natural, member.bit_offset, 1 if bits else old)
                if wanted:
                    start = _up(start, 8 * wanted)
                    own = own if bits else max(own, wanted)
                else:
                    start += member.bit_offset - natural
            offset = member.bit_offset if self.is_source else start
            offsets.append(offset)
            was = member.bit_offset + (bits or 8 * old_size)
            now = offset + (bits or 8 * size)
            largest, here = max(largest, was), max(here, now)
            align = max(align, own)
        was = _up(largest, 8 if packed else 8 * btf.align_of(found.id))
        now = _up(here, 8 * align)
        if 8 * found.size > was:
            wanted = _explain(was, 8 * found.size, align)
            if wanted:
                align = wanted
                now = _up(now, 8 * align)
            else:
                now += 8 * found.size - was
        size = found.size if self.is_source else now // 8
        return Placement(size, align, offsets, packed, forced)


def _fits(at: int, bits: int, unit: int, align: int) -> bool:
    """Tell whether a bit-field at bit *at* stays within one *unit* aligned to *align* bytes."""
    return at % (8 * align) + bits <= unit


def _explain(natural: int, wanted: int, least: int) -> int:
    """Return the alignment in bytes that takes *natural* to *wanted* (bits), 0 if none does."""
    align = least
    while align <= _MAX_ALIGN:
        if _up(natural, 8 * align) == wanted:
            return align
        align *= 2
    return 0


def _up(number: int, align: int) -> int:
    return -(-number // align) * align
