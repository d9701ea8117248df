"""Split BTF from ELF files, and distilled bases moved onto the kernel that is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from btf_blobs import distilled, elf, kernel, module

from skep.btf import types as t
from skep.btf.btf import Btf
from skep.btf.distilled import elf_btf, relocate
from skep.btf.header import is_split
from skep.btf.writer import Builder
from skep.errors import BtfError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("order", ["little", "big"])
def test_a_module_moves_onto_any_build_of_its_kernel(shifted: bool, order: str) -> None:
    base = kernel(shifted=shifted, byteorder=order)
    before = module(distilled(order))
    moved = relocate(before, base)
    assert moved.base is base
    assert (moved.name, moved.byteorder) == ("mod.ko", order)
    assert len(moved) - len(base) == len(before) - len(distilled())
    priv = moved.find_type("mod_priv")
    assert isinstance(priv, t.Struct)
    assert priv.id >= len(base)
    reached = {m.name: moved.strip(m.type_id) for m in priv.members}
    assert reached["number"] is base.find_type("u32")
    assert reached["mode"] is base.find_type("mode")
    assert reached["inner"] is base.find_type("embedded")  # the one of that size
    assert moved.size_of(reached["inner"].id) == 16
    to, joint = reached["to"], reached["joint"]
    assert isinstance(to, t.Pointer)
    assert isinstance(joint, t.Pointer)
    assert to.target is base.find_type("pointed")
    assert joint.target is base.find_type("joint")
    assert reached["wide"] is base.find_type("wide")
    function = moved.find_type("mod_function")
    assert isinstance(function, t.Func)
    proto = function.target
    assert isinstance(proto, t.FuncProto)
    assert moved.type(proto.type_id).name == "u32"
    assert [name for name, _ in proto.params] == ["p"]


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        ("gone", lambda b: b.struct("gone", 4, []), "no struct 'gone' of the same size"),
        ("grown", lambda b: b.struct("embedded", 24, []), "no struct 'embedded' of the same size"),
        ("wider", lambda b: b.int("u32", 8), "no int 'u32' of the same size"),
        ("signed", lambda b: b.int("u32", 4, signed=True), "no int 'u32'"),
        ("kind", lambda b: b.forward("pointed", union=True), "no fwd 'pointed'"),
        ("other", lambda b: b.float("u32", 4), "no float 'u32'"),
        ("enum", lambda b: b.enum("mode", [], size=1), "no enum 'mode'"),
        ("anonymous", lambda b: b.struct("", 4, []), "has a type 8 without a name"),
    ],
)
def test_what_does_not_fit_is_named(name: str, make: Callable[[Builder], int], reason: str) -> None:
    split = module(distilled(changed={name: make}))
    with pytest.raises(BtfError, match=reason) as caught:
        relocate(split, kernel())
    assert "mod.ko" in str(caught.value)


def test_a_choice_that_is_not_clear() -> None:
    b = Builder()
    for _ in range(2):
        b.struct("embedded", 16, [])
        b.forward("pointed")
    b.struct("pointed", 8, [])
    base = Btf.from_bytes(b.build(), name="vmlinux")
    small = Builder()
    small.forward("pointed")
    only = Btf.from_bytes(small.build())
    b = Builder(base=only)
    b.pointer(1)
    moved = relocate(Btf.from_bytes(b.build(), base=only, name="mod.ko"), base)
    pointer = moved.type(len(base))
    assert isinstance(pointer, t.Pointer)
    assert pointer.target.kind == t.Kind.STRUCT  # rather than a declaration
    small.struct("embedded", 16, [])
    both = Btf.from_bytes(small.build())
    split = Btf.from_bytes(Builder(base=both).build(), base=both, name="mod.ko")
    with pytest.raises(BtfError, match="2 types struct 'embedded' of the same size"):
        relocate(split, base)


def test_what_cannot_be_moved() -> None:
    with pytest.raises(BtfError, match="continues no other"):
        relocate(kernel(), kernel())
    with pytest.raises(BtfError, match="little-endian, that of vmlinux is not"):
        relocate(module(distilled()), kernel(byteorder="big"))
    base = distilled()
    b = Builder(base=base)
    b.pointer(77)
    with pytest.raises(BtfError, match="has no type 77"):
        relocate(Btf.from_bytes(b.build(), base=base, name="mod.ko"), kernel())


def test_elf_files() -> None:
    whole = kernel()
    assert elf_btf(elf({".BTF": whole.raw})).raw == whole.raw
    split = module(kernel())
    file = elf({".BTF": split.raw})
    assert is_split(split.raw)
    assert not is_split(whole.raw)
    assert elf_btf(file, kernel).find("mod_priv") == split.find("mod_priv")
    with pytest.raises(BtfError, match=r"mod.ko continues a kernel's"):
        elf_btf(file)
    small = distilled()
    file = elf({".BTF": module(small).raw, ".BTF.base": small.raw})
    assert len(elf_btf(file)) == len(module(small))
    moved = elf_btf(file, lambda: whole)
    assert moved.base is whole
    assert moved.find("mod_priv") == relocate(module(small), whole).find("mod_priv")
    with pytest.raises(NotFoundError, match=r"no section \.BTF"):
        elf_btf(elf({".text": b"x"}))
    for content in (b"", b"xx", whole.raw[:30]):
        with pytest.raises((BtfError, NotFoundError)):
            elf_btf(elf({".BTF": content}))
        if content:
            with pytest.raises(BtfError, match=r"\.BTF\.base"):
                elf_btf(elf({".BTF": split.raw, ".BTF.base": content}))
