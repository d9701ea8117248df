"""Layouts: where every member of a type lies, and what lies between them.

`layout` computes one from BTF, for the architecture the BTF was made for or for another. Others
are made from what else describes memory (ctypes, NumPy). `Layout.lines` prints one as C with
offsets, and `side_by_side` two, with what differs marked.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from typing import Any, Literal

    from skep.btf.btf import Btf
    from skep.btf.spelling import Speller

    RowKind = Literal["member", "hole", "padding"]

MAX_ROWS = 1 << 16
CACHE_LINE = 64


class Row:
    """One member, or bits that belong to none.

    `bit_offset` counts from the start of the whole type and, as BTF does, in the order of memory;
    `bit_size` is in bits. `depth` is how many structs and unions of the type are around it: what
    follows with a greater depth is inside. `kind` is "member", "hole" (between members) or
    "padding" (after the last of a struct or union). `bit_field` tells `unsigned x:8` from a byte.
    `count` is how many elements an array of structs has; only the first is shown. `text` is C's
    declaration, `head` the opening line of a body ("" when none follows). `number` tells apart what
    is of one size: "signed", "unsigned", "float", "" for a struct or bytes.
    """

    __slots__ = (
        "bit_field",
        "bit_offset",
        "bit_size",
        "count",
        "depth",
        "head",
        "kind",
        "name",
        "number",
        "text",
        "type_name",
    )

    def __init__(
        self,
        name: str,
        type_name: str,
        bit_offset: int,
        bit_size: int,
        depth: int = 0,
        kind: RowKind = "member",
        *,
        bit_field: bool = False,
        count: int = 1,
        text: str | None = None,
        head: str = "",
        number: str = "",
    ) -> None:
        self.name = name
        self.type_name = type_name
        self.bit_offset = bit_offset
        self.bit_size = bit_size
        self.depth = depth
        self.kind: RowKind = kind
        self.bit_field = bit_field
        self.count = count
        self.text = _declared(type_name, name) if text is None else text
        self.head = head
        self.number = number

    @property
    def whole(self) -> bool:
        """Whether it starts and ends between two bytes."""
        return not self.bit_field and not self.bit_offset % 8 and not self.bit_size % 8

    @property
    def offset(self) -> str:
        """Where it is: "12", or "12:3" for bit 3 of byte 12."""
        byte, bit = divmod(self.bit_offset, 8)
        return str(byte) if self.whole else f"{byte}:{bit}"

    @property
    def size(self) -> str:
        """How large it is: "4" bytes, "3 bits"."""
        return str(self.bit_size // 8) if self.whole else amount(self.bit_size)

    def asdict(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        names = ("name", "type_name", "bit_offset", "bit_size", "depth", "kind", "bit_field")
        return {**{name: getattr(self, name) for name in names}, "count": self.count}

    def __repr__(self) -> str:
        return f"<Row {self.text or self.kind} at {self.offset}, {self.size}>"


class Layout:
    """How a type lies in memory: `size` and `alignment` in bytes, `rows` from front to back.

    The members of a struct or union have depth 0; what is no struct is one row without a name.
    `arch` is "" when the numbers are those that BTF states. `packed`: C can only write it with
    `__attribute__((packed))`. `word` is the size of `long` and pointers. Never changed once made.
    """

    __slots__ = ("alignment", "arch", "forced", "packed", "rows", "size", "type_name", "word")

    def __init__(
        self,
        type_name: str,
        size: int,
        alignment: int,
        rows: Sequence[Row],
        *,
        arch: str = "",
        packed: bool = False,
        word: int = 8,
        forced: Sequence[str] = (),
    ) -> None:
        self.type_name = type_name
        self.size = size
        self.alignment = alignment
        self.rows = tuple(rows)
        self.arch = arch
        self.packed = packed
        self.word = word
        self.forced = tuple(forced)

    @property
    def gaps(self) -> list[Row]:
        """The holes and paddings, those of nested types included where `rows` shows them."""
        return [row for row in self.rows if row.kind != "member"]

    def lines(self, *, cache_line: int = CACHE_LINE) -> list[str]:
        """Return the layout as lines of C, offsets and sizes (bytes) in comments behind them.

        A size that is no number of bytes says "bits"; an offset of "4:3" is bit 3 of byte 4.
        """
        from skep.btf.layout_text import lines

        return lines(self, cache_line)

    def summary(self) -> dict[str, int]:
        """Return what pahole prints last: sizes and counts in bytes, `_bits` in bits."""
        from skep.btf.layout_text import summary

        return summary(self)

    def asdict(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        return {
            "type_name": self.type_name,
            "size": self.size,
            "alignment": self.alignment,
            "packed": self.packed,
            "arch": self.arch,
            "rows": [row.asdict() for row in self.rows],
            "summary": self.summary(),
        }

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def __repr__(self) -> str:
        return f"<Layout {self.type_name}, {self.size} bytes>"


def layout(btf: Btf, type_id: int, arch: str = "", *, expand: bool = True) -> Layout:
    """Return the layout of type *type_id* of *btf*.

    Without *arch* (or for a 64-bit one that agrees) every number is the one that BTF states. For
    another, "i386" or "arm" (`skep.btf.abi`), members are placed by its rules, with the attributes
    that the recorded offsets give away. *expand* shows the members of named structs inside too;
    those of anonymous ones always are shown.

    Raises `BtfError` for a type without a size, `NotFoundError` for an unknown *arch*.
    """
    from skep.btf.abi import abi
    from skep.btf.layout_rows import Drawing
    from skep.btf.placement import Placer

    target = abi(arch) if arch else None
    if target is not None and target.word == 8 and target.aligns == abi("x86_64").aligns:
        return Drawing(btf, Placer(btf), target.name, expand).draw(type_id)
    return Drawing(btf, Placer(btf, target), target.name if target else "", expand).draw(type_id)


def side_by_side(
    left: Layout, right: Layout, *, titles: tuple[str, str], differ: Collection[str] = ()
) -> str:
    """Return both layouts as two columns under *titles*; a ``!`` marks the rows that differ.

    They differ in place, size or sign. *differ* are paths of members ("at.port") to mark besides.
    """
    from skep.btf.layout_text import side_by_side as both

    return both(left, right, titles, differ)


def amount(bits: int) -> str:
    """Return *bits* in words: "3 bytes", "1 byte", "5 bits"."""
    number, unit = (bits, "bit") if bits % 8 else (bits // 8, "byte")
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def type_name(speller: Speller, type_id: int) -> str:
    """Return C's name of a type: `struct flow`, `unsigned char[16]`."""
    return speller.declare(type_id, "").replace(" [", "[")


def _declared(type_name: str, name: str) -> str:
    base, bracket, rest = type_name.partition("[")
    return f"{base} {name}{bracket}{rest}" if name else type_name
