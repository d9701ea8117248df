"""The part of the diagnosis that reads the entries: padding, byte order, zeros, interfaces."""

from __future__ import annotations

import sys

from skep.kernel.constants import MapType
from skep.maps import kinds
from skep.maps.diagnose import Finding
from skep.maps.system.leaves import Leaf, leaves

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from skep.btf.btf import Btf
    from skep.errors import KernelError
    from skep.maps.system.sides import Side, View

    Typed = tuple[Btf, int]

SAMPLES = 4096  # entries whose numbers are looked at for their byte order
FEW = 3  # distinct numbers that a guess needs

_DEVICES = frozenset({MapType.DEVMAP, MapType.DEVMAP_HASH})
_NAMES = frozenset(
    {"port", "sport", "dport", "lport", "rport", "addr", "saddr", "daddr", "ip", "sip", "dip",
     "ip4", "ipv4", "saddr4", "daddr4", "src_port", "dst_port", "src_ip", "dst_ip"}
)  # fmt: skip


def scan(view: View, key_type: Typed | None, value_type: Typed | None) -> Iterator[Finding]:
    """Read every entry once and yield what the keys and values give away."""
    from skep.errors import KernelError

    key = view.keyed()
    padding = Padding(key, key_type)
    orders = [*Order.of(key, key_type), *Order.of(view.value, value_type)]
    ifindexes: set[int] = set()
    entries = zeros = 0
    refused: KernelError | None = None
    refusals = 0
    try:
        for packed, data in view.entries():
            entries += 1
            padding.look(packed)
            if isinstance(data, KernelError):
                refused, refusals = data, refusals + 1
                continue
            zeros += not any(data)
            if entries <= SAMPLES:
                for order in orders:
                    order.look(packed if order.role == "key" else data)
            if view.map.spec.type in _DEVICES:
                ifindexes.add(int.from_bytes(data[:4], sys.byteorder))
    except KernelError as error:
        refused, refusals = error, 1
    yield from padding.findings()
    for order in orders:
        yield from order.findings()
    if refused is not None:
        text = f"{refusals} of {max(entries, refusals)} values cannot be read: {refused.message}"
        yield Finding("unreadable", text, hint=refused.hint, errno=refused.errno)
    yield from _interfaces(ifindexes)
    yield from _zeros(view, entries, zeros)
    if view.cpus:
        size = view.value.size
        text = (
            f"a lookup gives {view.cpus} values of {size} bytes, one for each possible CPU, each in"
            f" {view.slot} bytes: {view.value_bytes} bytes together"
        )
        hint = "sum(map[key]) in Python; skep map dump shows the sum, --per-cpu each"
        yield Finding("cpus", text, hint=hint, cpus=view.cpus, slot=view.slot)


def _zeros(view: View, entries: int, zeros: int) -> Iterator[Finding]:
    if not zeros:
        return
    spec = view.map.spec
    if spec.type in kinds.ARRAYS:
        text = (
            f"{zeros} of {entries} values are zero: in an array every index exists from the start,"
            " so a zero may never have been written"
        )
        hint = "to tell them apart, store a value that is never zero, or use a hash"
    else:
        text = f"{zeros} of {entries} values are zero: they are stored values, not missing keys"
        hint = "a missing key is a MissingKeyError, never a zero"
    yield Finding("zeros", text, hint=hint, zeros=zeros, entries=entries)


def _interfaces(indexes: set[int]) -> Iterator[Finding]:
    import socket

    for index in sorted(indexes - {0}):
        try:
            socket.if_indextoname(index)
        except OSError:
            text = f"there is no interface {index} in this network namespace"
            yield Finding("ifindex", text, ifindex=index)


class Padding:
    """Looks for keys whose padding is not zero."""

    def __init__(self, side: Side, told: Typed | None) -> None:
        from skep.btf.codec import codec

        self._side = side
        self._mask = self._padding = 0
        typed = _typed(side, told)
        if typed is not None:
            cell = codec(*typed)
            if cell.size == side.size:
                self._mask = cell.mask()
                self._padding = ~self._mask & (1 << 8 * side.size) - 1
                self._cell = cell
        self._dirty: list[bytes] = []
        self._count = 0
        self._keys: dict[int, int] = {}

    def look(self, key: bytes) -> None:
        """Look at one key."""
        if not self._padding:
            return
        number = int.from_bytes(key, "little")
        meant = number & self._mask
        self._keys[meant] = self._keys.get(meant, 0) + 1
        if number & self._padding:
            self._count += 1
            if len(self._dirty) < FEW:
                self._dirty.append(key)

    def findings(self) -> Iterator[Finding]:
        """Say what was found."""
        if not self._count:
            return
        total = sum(self._keys.values())
        twins = sum(count for count in self._keys.values() if count > 1)
        where = _ranges(self._padding)
        text = (
            f"{self._count} of {total} keys have something in their padding ({where}): a lookup by"
            " the members alone, which has zeros there, does not find them"
        )
        if twins:
            text += f"; {twins} keys differ from another one in their padding only"
        shown = [f"{key.hex(' ')}  {self._cell.unpack(key)!r}" for key in self._dirty]
        yield Finding(
            "key-padding", text, lines="\n".join(shown),
            count=self._count, entries=total, twins=twins, keys=[key.hex() for key in self._dirty],
        )  # fmt: skip


def _ranges(mask: int) -> str:
    """Return the bytes that have bits in *mask*, as "bytes 6-7"."""
    size = (mask.bit_length() + 7) // 8
    marked = [at for at, one in enumerate(mask.to_bytes(size, "little")) if one]
    parts: list[list[int]] = []
    for at in marked:
        if parts and parts[-1][1] == at - 1:
            parts[-1][1] = at
        else:
            parts.append([at, at])
    words = [str(a) if a == b else f"{a}-{b}" for a, b in parts]
    return f"byte{'s' if len(marked) > 1 else ''} {', '.join(words)}"


def _typed(side: Side, told: Typed | None) -> Typed | None:
    if told is not None:
        return told
    return (side.btf, side.type_id) if side.btf is not None else None


class Order:
    """Looks at the numbers of one member, whether they would be smaller with their bytes swapped.

    Numbers that people store (ports, lengths, counts) are mostly small, so that their high bytes
    are zero. Read in the wrong order they are large, and their low bytes are zero. That is a
    heuristic: three distinct numbers at least, which lose a quarter of their bits when swapped.
    """

    def __init__(self, role: str, leaf: Leaf) -> None:
        self.role = role
        self._leaf = leaf
        self._at = leaf.at // 8
        self._size = leaf.bits // 8
        self._numbers: set[bytes] = set()

    @classmethod
    def of(cls, side: Side, told: Typed | None) -> Iterator[Order]:
        """Make one for each member of a side that is an integer of several bytes."""
        typed = _typed(side, told)
        if typed is None:
            return
        for leaf in leaves(*typed):
            if leaf.kind == "integer" and leaf.bits in (16, 32, 64) and not leaf.at % 8:
                yield cls(side.role, leaf)

    def look(self, data: bytes) -> None:
        """Look at one key or value."""
        one = data[self._at : self._at + self._size]
        if any(one) and len(self._numbers) < SAMPLES:
            self._numbers.add(one)

    def findings(self) -> Iterator[Finding]:
        """Say what was found."""
        big = self._leaf.order == "big"
        pairs = [_both(one, big=big) for one in self._numbers]
        if not pairs or (self._size == 8 and any(number >> 48 == 0xFFFF for number, _ in pairs)):
            return  # nothing to look at, or addresses of the kernel
        gains = [number.bit_length() - swapped.bit_length() for number, swapped in pairs]
        gain = sum(gains) / len(gains)
        enough = self._leaf.bits / 4
        name = self._leaf.path.rpartition(".")[2]
        what = f"{self.role} {self._leaf.path}".strip()
        own, other = ("big", "little") if big else ("little", "big")
        example = max(self._numbers, key=lambda one: _both(one, big=big))
        number, swapped = _both(example, big=big)
        shown = (
            f"the bytes {example.hex(' ')} are {number} as declared, {own}-endian, and {swapped} as"
            f" {other}-endian"
        )
        if len(gains) >= FEW and gain >= enough and min(gains) > 0:
            text = (
                f"{what} looks {other}-endian, and is declared {own}-endian: all"
                f" {len(gains)} numbers in it are smaller with their bytes swapped (a heuristic);"
                f" {shown}"
            )
            yield Finding("looks-swapped", text, role=self.role, field=self._leaf.path)
        elif not big and name in _NAMES and self._size < 8 and gain > -enough:
            text = f"{what} is declared {own}-endian, and called like what networks send; {shown}"
            yield Finding("network-name", text, role=self.role, field=self._leaf.path)


def _both(data: bytes, *, big: bool) -> tuple[int, int]:
    """Return a number in the order declared, and in the other."""
    both = int.from_bytes(data, "little"), int.from_bytes(data, "big")
    return both[::-1] if big else both
