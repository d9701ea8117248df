"""Split BTF in ELF files, and the distilled base that kernel modules carry since Linux 6.11.

A module's types continue the kernel's, by number. A module built apart from its kernel brings a
section `.BTF.base` with it ("resolve_btfids: Handle presence of .BTF.base section"): only those
types of the kernel that it refers to, and of these only name, kind and size. `.BTF` continues
that base, and `relocate` moves it onto the kernel that is really there, by these three. The rules
are those of `btf__relocate()` in libbpf, which the kernel shares (tools/lib/bpf/btf_relocate.c).
"""

from __future__ import annotations

from skep.btf import types as t
from skep.btf.btf import Btf
from skep.btf.header import is_split
from skep.btf.writer import Builder
from skep.errors import BtfError, NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from skep.elf.reader import ElfFile


def elf_btf(elf: ElfFile, base: Callable[[], Btf] | None = None) -> Btf:
    """Return the BTF of an ELF file: an object, a vmlinux, or a kernel module.

    *base* is called for the kernel's types when the file's continue them. With a `.BTF.base` and
    no *base*, the result continues that section.

    Raises `NotFoundError` when there is no BTF, `BtfError` when it is malformed, continues a base
    that was not given, or does not fit it.
    """
    section = elf.section(".BTF")
    if section is None or not section.size:
        raise NotFoundError(
            f"{elf.name} has no BTF: there is no section .BTF",
            hint="compile it with -g, as skep build does",
            name=".BTF",
            where=elf.name,
        )
    data = bytes(elf.data(section))
    distilled = elf.section(".BTF.base")
    if distilled is not None and distilled.size:
        own_base = Btf.from_bytes(bytes(elf.data(distilled)), name=f"{elf.name}'s .BTF.base")
        split = Btf.from_bytes(data, base=own_base, name=elf.name)
        return split if base is None else relocate(split, base())
    if not is_split(data):
        return Btf.from_bytes(data, name=elf.name)
    if base is None:
        raise BtfError(
            f"BTF of {elf.name} continues a kernel's, which was not given", source=elf.name
        )
    return Btf.from_bytes(data, base=base(), name=elf.name)


def relocate(split: Btf, base: Btf) -> Btf:
    """Return the types of *split*, which continues a distilled base, as continuing *base*.

    Raises `BtfError` naming the type when *base* has none of that name, kind and size, or two
    structs between which the choice is not clear.
    """
    distilled = split.base
    if distilled is None:
        raise BtfError(f"BTF of {split.name} continues no other", source=split.name)
    if distilled.byteorder != base.byteorder:
        raise BtfError(
            f"BTF of {split.name} is {distilled.byteorder}-endian, that of {base.name} is not",
            source=split.name,
        )
    places = {0: 0}
    places |= {found.id: _find(found, split, base) for found in distilled.types()}
    shift = len(base) - len(distilled)
    builder = Builder(split.byteorder, base=base)
    end = len(split)

    def moved(id_: int) -> int:
        if id_ >= end:
            raise BtfError(f"BTF of {split.name} has no type {id_}", source=split.name)
        return places[id_] if id_ < len(distilled) else id_ + shift

    for found in split.types():
        builder.add(found, moved)
    return Btf.from_bytes(builder.build(), base=base, name=split.name)


def _find(wanted: t.Type, split: Btf, base: Btf) -> int:
    """Return the id in *base* that a distilled type stands for."""
    if not wanted.name:
        raise BtfError(
            f"the distilled base of {split.name} has a type {wanted.id} without a name",
            source=split.name,
        )
    found = [id_ for id_ in base.find(wanted.name) if _fits(wanted, base.type(id_))]
    if isinstance(wanted, t.Forward) and len(found) > 1:
        # What is only pointed to may be any; a definition says more than a declaration.
        found.sort(key=lambda id_: base.kind_of(id_) == t.Kind.FWD)
    kind = wanted.kind.name.lower()
    if not found:
        raise BtfError(
            f"{split.name} was built for another kernel: {base.name} has no {kind}"
            f" {wanted.name!r} of the same size",
            source=split.name,
        )
    if len(found) > 1 and isinstance(wanted, t.Composite):
        raise BtfError(
            f"{split.name}: {base.name} has {len(found)} types {kind} {wanted.name!r} of the same"
            " size, and nothing says which is meant",
            source=split.name,
        )
    return found[0]


def _fits(wanted: t.Type, found: t.Type) -> bool:
    """Whether a type of the kernel can be what a distilled one was made from."""
    if isinstance(wanted, t.Forward):
        if isinstance(found, t.Forward):
            return found.is_union == wanted.is_union
        return isinstance(found, t.Union if wanted.is_union else t.Struct)
    if isinstance(wanted, t.Enum):
        return isinstance(found, t.Enum) and found.size == wanted.size
    if wanted.kind != found.kind:
        return False
    if isinstance(wanted, t.Int) and isinstance(found, t.Int):
        return (wanted.size, wanted.bits, wanted.signed, wanted.is_bool, wanted.is_char) == (
            found.size, found.bits, found.signed, found.is_bool, found.is_char,
        )  # fmt: skip
    if isinstance(wanted, (t.Composite, t.Float)) and isinstance(found, (t.Composite, t.Float)):
        return wanted.size == found.size
    return False
