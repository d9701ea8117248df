"""The object's BTF made fit for the kernel: what the compiler leaves open.

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
    from skep.elf.reader import ElfFile
    from skep.object.externs import ExternSpec

STATIC, EXTERN = 0, 2
"""The linkage of functions and variables; extern are those that are only declared (linux/btf.h)."""

_WORD = {"little": Struct("<I"), "big": Struct(">I")}


class Editor:
    """Overwrites single words of a BTF blob."""

    def __init__(self, btf: Btf) -> None:
        self.btf = btf
        self.name = btf.name
        self.data = bytearray(btf.raw)
        self.word = _WORD[btf.byteorder]
        # hdr_len and type_off: where the type section starts (linux/btf.h).
        self.types = self.get(4) + self.get(8)
        self.changed = False

    def get(self, offset: int) -> int:
        """Return the word at byte *offset* of the blob."""
        return int(self.word.unpack_from(self.data, offset)[0])

    def place(self, id: int) -> int:
        """Return where the record of type *id* starts."""
        return self.types + self.btf.record_offset(id)

    def put(self, offset: int, value: int) -> None:
        """Overwrite the word at byte *offset*; `BtfError` when *value* is no 32-bit number."""
        if value >> 32:
            raise BtfError(f"a size or offset of {value} does not fit the BTF of {self.name}")
        if self.get(offset) != value:
            self.word.pack_into(self.data, offset, value)
            self.changed = True


def fix_layout(btf: Btf, elf: ElfFile, externs: dict[str, ExternSpec]) -> Btf:
    """Return *btf* with sizes and offsets of data sections filled in from the symbols of *elf*.

    Its *externs* get forms that the kernel takes (`skep.object.externs.fix_types`).

    Variables are sorted by offset, as the kernel asks (btf_datasec_check_meta).
    """
    editor = Editor(btf)
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
    undefined: list[int] = []
    for id_ in range(1, len(btf)):
        kind = btf.kind_of(id_)
        if (kind == Kind.VAR and editor.get(editor.place(id_) + 12) == EXTERN) or (
            kind == Kind.FUNC and editor.get(editor.place(id_) + 4) & 0xFFFF == EXTERN
        ):
            undefined.append(id_)
        elif kind == Kind.DATASEC:
            _fix_section(editor, btf, id_, sizes, offsets)
        elif kind == Kind.FUNC and hidden:
            function = btf.type(id_)
            if function.name in hidden:
                at = editor.types + btf.record_offset(id_) + 4
                editor.put(at, editor.get(at) & ~0xFFFF)  # vlen holds the linkage; 0 is static
        elif kind == Kind.ENUM:
            at = editor.place(id_)
            if not editor.get(at + 8):
                # One that is only declared: clang says 0 bytes, the kernel takes 1, 2, 4 or 8.
                editor.put(at + 8, 4)
    if externs or undefined:
        from skep.object.externs import fix_types

        fix_types(editor, btf, externs, undefined)
    if not editor.changed:
        return btf
    return Btf.from_bytes(bytes(editor.data), name=btf.name)


def _fix_section(
    editor: Editor,
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
    for var_id, declared, size in section.variables:
        variable = btf.type(var_id)
        offset = declared
        # A linker has filled in all offsets, and clang those of static variables, whose names
        # need not be unique.
        if not section.size and not (isinstance(variable, t.Var) and variable.linkage == STATIC):
            offset = offsets.get((section.name, variable.name), declared)
        rows.append((offset, var_id, size))
    rows.sort(key=lambda row: row[0])
    at += 12
    for offset, var_id, size in rows:
        editor.put(at, var_id)
        editor.put(at + 4, offset)
        editor.put(at + 8, size)
        at += 12
