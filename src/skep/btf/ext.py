"""The `.BTF.ext` section of a BPF object: function info, line info and CO-RE relocations.

Format: `Documentation/bpf/btf.rst`, "BTF_ext". A header is followed by subsections; each
starts with the size of its records, then for every ELF section: its name's offset in the BTF
strings, a record count, the records. Records may be longer than known; the rest is ignored.
Instruction offsets are bytes from the start of the ELF section, as clang writes them.
"""

from __future__ import annotations

from struct import Struct as Packer

from skep.errors import BtfError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from skep.btf.btf import Btf

_MAGIC = 0xEB9F
_FUNC_SIZE, _LINE_SIZE, _CORE_SIZE = 8, 16, 16

MAX_ACCESS = 1024
"""Characters of an access string: 64 numbers are the most that libbpf takes, and so do we."""
MAX_STRINGS = 1 << 22
"""Bytes of all section names and access strings: as many records may point into one long string."""


class CoreRelocation:
    """One CO-RE relocation, `struct bpf_core_relo` of linux/bpf.h.

    `insn_off` is the byte offset of the instruction in its ELF section, `type_id` the local
    root type, `access` the accessor string ("0:1:2"), `kind` an `enum bpf_core_relo_kind`.
    """

    __slots__ = ("access", "insn_off", "kind", "type_id")

    def __init__(self, insn_off: int, type_id: int, access: str, kind: int) -> None:
        self.insn_off = insn_off
        self.type_id = type_id
        self.access = access
        self.kind = kind

    def __repr__(self) -> str:
        return (
            f"<CoreRelocation kind {self.kind} of type {self.type_id} {self.access}"
            f" at byte {self.insn_off}>"
        )


class BtfExt:
    """What `.BTF.ext` says, by name of the ELF section the code is in.

    func_info: (instruction byte offset, id of the Func); line_info: (instruction byte offset,
    file name offset, source line offset, line << 10 | column) with string offsets into the BTF;
    core_relocations: `CoreRelocation`. Each list is in file order.
    """

    __slots__ = ("core_relocations", "func_info", "line_info")

    def __init__(self) -> None:
        self.func_info: dict[str, list[tuple[int, int]]] = {}
        self.line_info: dict[str, list[tuple[int, int, int, int]]] = {}
        self.core_relocations: dict[str, list[CoreRelocation]] = {}

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview, btf: Btf) -> Self:
        """Parse a `.BTF.ext` section that goes with *btf*; raises `BtfError`."""
        view = memoryview(data).cast("B")
        what = f".BTF.ext of {btf.name}" if btf.name else ".BTF.ext"
        self = cls()
        if len(view) < 24:
            raise BtfError(f"{what} is truncated: {len(view)} bytes, a header has 24")
        magic = int.from_bytes(view[:2], "little" if btf.byteorder == "little" else "big")
        if magic != _MAGIC:
            raise BtfError(f"{what} does not start with the BTF magic number of its byte order")
        order = "<" if btf.byteorder == "little" else ">"
        version, _flags, header_len = Packer(order + "BBI").unpack_from(view, 2)
        if version != 1:
            raise BtfError(f"{what} has version {version}; only version 1 exists")
        if not 24 <= header_len <= len(view):
            raise BtfError(f"{what} claims a header of {header_len} bytes")
        # The CO-RE part came later (Linux 5.2's libbpf): a 24-byte header has none.
        words = 6 if header_len >= 32 else 4
        parts = Packer(f"{order}{words}I").unpack_from(view, 8)
        body = view[header_len:]
        reader = _Reader(body, btf, order, what)
        for name, record in reader.part("func info", parts[0], parts[1], _FUNC_SIZE, "II"):
            self.func_info.setdefault(name, []).append((record[0], record[1]))
        for name, record in reader.part("line info", parts[2], parts[3], _LINE_SIZE, "IIII"):
            self.line_info.setdefault(name, []).append((record[0], record[1], record[2], record[3]))
        if words == 6:
            cores = reader.part("CO-RE relocations", parts[4], parts[5], _CORE_SIZE, "IIII")
            for name, record in cores:
                access = reader.string(record[2])
                if len(access) > MAX_ACCESS:
                    raise BtfError(
                        f"{what}: the access string {access[:40]!r}... of a CO-RE relocation has"
                        f" {len(access)} characters, expected {MAX_ACCESS} at most"
                    )
                relocation = CoreRelocation(record[0], record[1], access, record[3])
                self.core_relocations.setdefault(name, []).append(relocation)
        return self


class _Reader:
    """Walks one subsection after another, checking every extent."""

    def __init__(self, body: memoryview, btf: Btf, order: str, what: str) -> None:
        self.body = body
        self.btf = btf
        self.order = order
        self.what = what
        self.strings: dict[int, str] = {}
        self.room = MAX_STRINGS

    def string(self, offset: int) -> str:
        """Return a string of the BTF, each made once."""
        found = self.strings.get(offset)
        if found is None:
            found = self.strings[offset] = self.btf.string(offset)
            self.room -= len(found)
            if self.room < 0:
                raise BtfError(f"{self.what} refers to more than {MAX_STRINGS} bytes of strings")
        return found

    def part(
        self, label: str, offset: int, length: int, minimum: int, fields: str
    ) -> list[tuple[str, tuple[int, ...]]]:
        if not length:
            return []
        if offset % 4 or offset + length > len(self.body) or length < 4:
            raise BtfError(f"{self.what}: the {label} lies outside the section or unaligned")
        view = self.body[offset : offset + length]
        word = Packer(self.order + "I")
        (size,) = word.unpack_from(view)
        if size < minimum or size % 4:
            raise BtfError(f"{self.what}: {label} records of {size} bytes, expected {minimum}")
        record = Packer(f"{self.order}{fields}{size - minimum}x")
        pair = Packer(self.order + "II")
        found = []
        at = 4
        while at < length:
            if length - at < 8:
                raise BtfError(f"{self.what}: the {label} ends inside a section header")
            name_offset, count = pair.unpack_from(view, at)
            at += 8
            end = at + count * size
            if not count or end > length:
                raise BtfError(f"{self.what}: the {label} claims {count} records, past its end")
            name = self.string(name_offset)
            found += [(name, values) for values in record.iter_unpack(view[at:end])]
            at = end
        return found
