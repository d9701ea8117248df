"""Makes the rows of a layout from BTF: `skep.btf.layout.layout`."""

from __future__ import annotations

from skep.btf import types as t
from skep.btf.btf import MAX_DEPTH
from skep.btf.layout import MAX_ROWS, Layout, Row, type_name
from skep.btf.members import path_of
from skep.btf.spelling import MAX_PARTS, Speller, identifier
from skep.errors import BtfError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.btf.btf import Btf
    from skep.btf.layout import RowKind
    from skep.btf.placement import Placer


class Drawing:
    """Makes one layout: of *btf*'s types as *placer* has them, *arch* being what to call it."""

    def __init__(self, btf: Btf, placer: Placer, arch: str, expand: bool) -> None:
        self.btf = btf
        self.arch = arch
        self.placer = placer
        self.expand = expand
        self.rows: list[Row] = []
        self.speller = Speller(btf)
        self.forced: list[str] = []

    def draw(self, type_id: int) -> Layout:
        """Return the layout of type *type_id*."""
        btf, placer = self.btf, self.placer
        size, alignment = placer.size_align(type_id)
        found = btf.strip(type_id)
        packed = False
        if isinstance(found, t.Composite):
            packed = placer.place(found).packed
            self._composite("", found, 0, 0, MAX_DEPTH)
        elif isinstance(found, t.DataSec):
            self._section(found)
        else:
            self._row("", "", type_id, 0, 0, MAX_DEPTH)
        if isinstance(found, t.DataSec):  # its name is no identifier, and may be no text
            name = found.name.encode("ascii", "backslashreplace").decode()
        else:
            name = type_name(self.speller, type_id)
        return Layout(
            name,
            size,
            alignment,
            self.rows,
            arch=self.arch,
            packed=packed,
            word=placer.abi.word,
            forced=self.forced,
        )

    def _row(
        self, path: str, name: str, type_id: int, bit: int, depth: int, left: int, bits: int = 0
    ) -> None:
        """Add member *name* of the one at *path* and, if it is to be, what is inside."""
        if len(self.rows) >= MAX_ROWS:
            raise BtfError(f"BTF of {self.btf.name}: a layout has more than {MAX_ROWS} rows")
        self.speller.budget = MAX_PARTS
        text = self.speller.declare(type_id, identifier(name))
        spelt = type_name(self.speller, type_id)
        size = bits or 8 * self.placer.size_align(type_id)[0]
        inner, count = self._element(type_id)
        head = ""
        if isinstance(inner, t.Composite) and self._is_open(type_id, inner, count):
            head = self._head(type_id, inner)
        row = Row(
            name,
            spelt,
            bit,
            size,
            depth,
            bit_field=bits > 0,
            count=count,
            text=f"{text}:{bits}" if bits else text,
            head=head,
            number=_number(inner, is_array=self._is_array(type_id)),
        )
        self.rows.append(row)
        if head and isinstance(inner, t.Composite):
            inside = path_of(self.btf, path, name)
            self._composite(inside, inner, bit, depth + 1, left - 1)

    def _is_array(self, type_id: int) -> bool:
        return isinstance(self.btf.strip(type_id), t.Array)

    def _element(self, type_id: int) -> tuple[t.Type, int]:
        """Return what an array is made of in the end and how many of it there are."""
        found, count = self.btf.strip(type_id), 1
        for _ in range(MAX_DEPTH):
            if not isinstance(found, t.Array):
                break
            count *= found.length
            found = self.btf.strip(found.type_id)
        return found, count

    def _is_open(self, type_id: int, inner: t.Composite, count: int) -> bool:
        if not count or not inner.members:
            return False
        if self.expand:
            return True
        found = self.btf.type(type_id)
        while isinstance(found, (t.Array, t.Modifier)):
            if isinstance(found, t.Typedef):
                return False
            found = self.btf.type(found.type_id)
        return not inner.name

    def _head(self, type_id: int, inner: t.Composite) -> str:
        tag = "union" if isinstance(inner, t.Union) else "struct"
        if inner.name:
            return f"{tag} {identifier(inner.name)}"
        found = self.btf.type(type_id)
        while isinstance(found, (t.Array, t.Modifier)):
            if isinstance(found, t.Typedef):
                return f"{tag} /* {identifier(found.name)} */"
            found = self.btf.type(found.type_id)
        return tag

    def _composite(self, path: str, found: t.Composite, base: int, depth: int, left: int) -> None:
        if not left:
            raise BtfError(f"BTF of {self.btf.name}: {found.name or 'a struct'} is nested too deep")
        placed = self.placer.place(found)
        union = isinstance(found, t.Union)
        end = 0
        for index, (member, at) in enumerate(zip(found.members, placed.offsets, strict=True)):
            if not union and at > end:
                self._gap("hole", base + end, at - end, depth)
            if index in placed.forced and not depth:
                self.forced.append(member.name)
            bits, bit = self._bits(member, at)
            self._row(path, member.name, member.type_id, base + bit, depth, left, bits)
            size = bits or 8 * self.placer.size_align(member.type_id)[0]
            end = max(end, bit + size)
        if 8 * placed.size > end:
            self._gap("padding", base + end, 8 * placed.size - end, depth)

    def _bits(self, member: t.Member, at: int) -> tuple[int, int]:
        """Return width (0: no bit-field) and place of a member at bit *at*."""
        if member.bit_size:
            return member.bit_size, at
        inner = self.btf.strip(member.type_id)
        if isinstance(inner, t.Int) and inner.bits != 8 * inner.size:
            return inner.bits, at + inner.bit_offset  # as before Linux 5.0: `skep.btf.codec`
        return 0, at

    def _section(self, found: t.DataSec) -> None:
        end = 0
        for var_id, offset, size in sorted(found.variables, key=lambda each: each[1]):
            if 8 * offset > end:
                self._gap("hole", end, 8 * offset - end, 0)
            var = self.btf.type(var_id)
            if isinstance(var, t.Var):
                self._row("", var.name, var.type_id, 8 * offset, 0, MAX_DEPTH)
            end = max(end, 8 * (offset + size))
        if 8 * found.size > end:
            self._gap("padding", end, 8 * found.size - end, 0)

    def _gap(self, kind: RowKind, bit: int, bits: int, depth: int) -> None:
        self.rows.append(Row("", "", bit, bits, depth, kind, text=""))


def _number(found: t.Type, *, is_array: bool) -> str:
    """Return which kind of number *found* is, as far as two of one size are read otherwise."""
    if isinstance(found, t.Float):
        return "float"
    if isinstance(found, (t.Int, t.Enum)) and not (is_array and found.size == 1):
        return "signed" if found.signed else "unsigned"
    return "unsigned" if isinstance(found, t.Pointer) else ""
