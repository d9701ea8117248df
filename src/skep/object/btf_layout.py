"""The object's BTF made fit for the kernel: what the compiler leaves open, and downgrades.

clang writes the size of a data section as 0, and knows the offsets of variables only through
relocations; the kernel wants both. A function that is global for the linker but hidden is static
for the verifier, which otherwise verifies it on its own, for any arguments.
"""

from __future__ import annotations

from struct import Struct

from skep.btf import types as t
from skep.btf.btf import Btf
from skep.btf.types import Kind
from skep.elf.reader import STB_LOCAL, STT_FUNC, STT_OBJECT, STV_HIDDEN, STV_INTERNAL
from skep.errors import BtfError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from skep.elf.reader import ElfFile

_WORD = {"little": Struct("<I"), "big": Struct(">I")}

# Kinds that came after Linux 5.8, with the release: FLOAT 5.13, DECL_TAG 5.16, TYPE_TAG 5.17,
# ENUM64 6.0.
NEWER = frozenset({Kind.FLOAT, Kind.DECL_TAG, Kind.TYPE_TAG, Kind.ENUM64})


class _Editor:
    """Overwrites single words of a BTF blob."""

    def __init__(self, btf: Btf) -> None:
        self.name = btf.name
        self.data = bytearray(btf.raw)
        self.word = _WORD[btf.byteorder]
        # hdr_len and type_off: where the type section starts (linux/btf.h).
        self.types = self.get(4) + self.get(8)
        self.changed = False

    def get(self, offset: int) -> int:
        return int(self.word.unpack_from(self.data, offset)[0])

    def put(self, offset: int, value: int) -> None:
        if value >> 32:
            raise BtfError(f"a size or offset of {value} does not fit the BTF of {self.name}")
        if self.get(offset) != value:
            self.word.pack_into(self.data, offset, value)
            self.changed = True


def fix_layout(btf: Btf, elf: ElfFile) -> Btf:
    """Return *btf* with sizes and offsets of data sections filled in from the symbols of *elf*.

    Variables are sorted by offset, as the kernel asks (btf_datasec_check_meta).
    """
    editor = _Editor(btf)
    sizes = {section.name: section.size for section in elf.sections}
    offsets: dict[tuple[str, str], int] = {}
    hidden: set[str] = set()
    for symbol in elf.symbols:
        if symbol.type == STT_OBJECT and 0 < symbol.section_index < len(elf.sections):
            section = elf.sections[symbol.section_index].name
            offsets.setdefault((section, symbol.name), symbol.value)
        elif (
            symbol.type == STT_FUNC
            and symbol.binding != STB_LOCAL
            and symbol.visibility in (STV_HIDDEN, STV_INTERNAL)
        ):
            hidden.add(symbol.name)
    for id_ in range(1, len(btf)):
        kind = btf.kind_of(id_)
        if kind == Kind.DATASEC:
            _fix_section(editor, btf, id_, sizes, offsets)
        elif kind == Kind.FUNC and hidden:
            function = btf.type(id_)
            if function.name in hidden:
                at = editor.types + btf.record_offset(id_) + 4
                editor.put(at, editor.get(at) & ~0xFFFF)  # vlen holds the linkage; 0 is static
    if not editor.changed:
        return btf
    return Btf.from_bytes(bytes(editor.data), name=btf.name)


def _fix_section(
    editor: _Editor,
    btf: Btf,
    id_: int,
    sizes: dict[str, int],
    offsets: dict[tuple[str, str], int],
) -> None:
    section = btf.type(id_)
    assert isinstance(section, t.DataSec)
    if section.name not in sizes:
        return  # of externs: no such ELF section
    at = editor.types + btf.record_offset(id_)
    if not section.size:
        editor.put(at + 8, sizes[section.name])
    rows = []
    for var_id, offset, size in section.variables:
        known = offsets.get((section.name, btf.type(var_id).name))
        rows.append((known if known is not None else offset, var_id, size))
    rows.sort(key=lambda row: row[0])
    at += 12
    for offset, var_id, size in rows:
        editor.put(at, var_id)
        editor.put(at + 4, offset)
        editor.put(at + 8, size)
        at += 12


def downgraded(btf: Btf) -> bytes | None:
    """Return the blob with kinds newer than Linux 5.8 replaced, None when it has none.

    Every type keeps its id, length and size: a float becomes an empty struct, a tag a `const` or
    an unused integer, a 64-bit enum a union of its constants.
    """
    editor = _Editor(btf)
    # The smallest integer type, which fits in any 64-bit enum.
    integers = [found for found in btf.types() if isinstance(found, t.Int)]
    small = min(integers, key=lambda found: found.size).id if integers else 0
    for id_ in range(1, len(btf)):
        kind = btf.kind_of(id_)
        if kind not in NEWER:
            continue
        at = editor.types + btf.record_offset(id_)
        count = editor.get(at + 4) & 0xFFFF
        if kind == Kind.FLOAT:
            _retype(editor, at, Kind.STRUCT)
        elif kind == Kind.TYPE_TAG:
            _retype(editor, at, Kind.CONST)
        elif kind == Kind.DECL_TAG:
            _retype(editor, at, Kind.INT)
            editor.put(at + 8, 1)
            editor.put(at + 12, 8)  # unsigned, 8 bits from bit 0
        elif kind == Kind.ENUM64:
            # An enumerator (name, low, high) is as long as a member (name, type, offset).
            editor.put(at + 4, Kind.UNION << 24 | count)
            for member in range(at + 12, at + 12 * (count + 1), 12):
                editor.put(member + 4, small)
                editor.put(member + 8, 0)
    return bytes(editor.data) if editor.changed else None


def _retype(editor: _Editor, at: int, kind: Literal[Kind.STRUCT, Kind.CONST, Kind.INT]) -> None:
    editor.put(at, 0)
    editor.put(at + 4, kind << 24)
