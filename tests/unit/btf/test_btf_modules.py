"""Modules' BTF: found by name, parsed only where the name occurs, and never in the way."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from skep.btf import modules
from skep.btf import types as t
from skep.btf.btf import Btf
from skep.btf.modules import module_btf, module_names, modules_with, refused_modules
from skep.btf.target import Target
from skep.btf.writer import Builder
from skep.errors import BtfError, NotFoundError
from skep.object.core import Resolver
from skep.object.core_values import RelocationKind

if TYPE_CHECKING:
    from pathlib import Path

K = RelocationKind


def kernel() -> Btf:
    b = Builder()
    u32 = b.int("u32", 4)
    b.struct("common", 8, [("a", u32, 0), ("shared_name", u32, 32)])
    return Btf.from_bytes(b.build(), name="vmlinux")


def module(base: Btf, name: str, offset: int, *, inherited: bool = False) -> bytes:
    """A module with a struct *name* whose member `x` is at byte *offset*."""
    b = Builder(base=base)
    if inherited:
        # As pahole writes it: a string that the base has is not written again.
        b._offsets[name] = base.string_offsets(name)[0]
    pointer = b.pointer(base.find("common")[0])
    b.struct(name, 64, [("x", base.find("u32")[0], 8 * offset), ("link", pointer, 0)])
    return b.build()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(modules, "FOLDER", str(tmp_path))
    monkeypatch.setattr(modules, "_refused", {})
    monkeypatch.setattr(modules, "_opened", {})
    return tmp_path


def test_names(folder: Path) -> None:
    assert module_names() == []
    for name in ("vmlinux", "veth", "nf_tables"):
        (folder / name).write_bytes(b"")
    assert module_names() == ["nf_tables", "veth"]
    os.rename(folder, folder.with_name("elsewhere"))
    assert module_names() == []


def test_a_module_by_name(folder: Path) -> None:
    base = kernel()
    (folder / "veth").write_bytes(module(base, "veth_priv", 16))
    btf = module_btf("veth", base)
    assert (btf.name, btf.base, btf.first_id) == ("veth", base, len(base))
    assert module_btf("veth", base) is btf
    found = btf.find_type("veth_priv")
    assert isinstance(found, t.Struct)
    assert found.members[0].type_id == base.find("u32")[0]
    assert btf.find("common") == base.find("common")
    assert btf.size_of(btf.find("veth_priv")[0]) == 64
    (folder / "veth").write_bytes(module(base, "other", 16))  # unloaded, another one loaded
    assert module_btf("veth", base).find("veth_priv") == []


@pytest.mark.parametrize("name", ["no_such", "vmlinux", "../../etc/passwd", "."])
def test_no_such_module(name: str) -> None:
    with pytest.raises(NotFoundError, match="there is no BTF of a module"):
        module_btf(name, kernel())


def test_only_modules_with_the_name_are_parsed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = kernel()
    for name in ("alpha", "beta", "gamma"):
        (folder / name).write_bytes(module(base, f"{name}_priv", 16))
    (folder / "delta").write_bytes(module(base, "beta_priv", 24))
    parsed = []
    original = modules._parse

    def parse(name: str, data: bytes, base: Btf) -> Btf:
        parsed.append(name)
        return original(name, data, base)

    monkeypatch.setattr(modules, "_parse", parse)
    assert [name for name, _ in modules_with("beta_priv", base)] == ["beta", "delta"]
    assert parsed == ["beta", "delta"]
    assert list(modules_with("no_such_type", base)) == []
    assert list(modules_with("common", base)) == []  # all refer to it, none defines it
    assert refused_modules() == {}


def test_a_name_that_is_in_the_kernels_strings(folder: Path) -> None:
    base = kernel()
    (folder / "sharing").write_bytes(module(base, "shared_name", 4, inherited=True))
    ((name, btf),) = modules_with("shared_name", base)
    assert (name, btf.find("shared_name")) == ("sharing", [len(base) + 1])


def damaged(data: bytes) -> list[bytes]:
    """Return what a corrupt module may look like, the name still in it."""
    strings = data.index(b"link\0")
    flipped = bytearray(data)
    flipped[24 + 7] = 0x7F  # the kind of the first type
    return [
        data[:40] + data[strings:],
        bytes(flipped),
        b"x" + data[1:],
        data[:2] + b"\x09" + data[3:],
    ]


@pytest.mark.parametrize("number", range(4))
def test_a_corrupt_module_is_left_out_and_remembered(folder: Path, number: int) -> None:
    base = kernel()
    good = module(base, "wanted", 16)
    (folder / "good").write_bytes(good)
    (folder / "bad").write_bytes(damaged(good)[number])
    assert [name for name, _ in modules_with("wanted", base)] == ["good"]
    assert list(refused_modules()) == ["bad"]
    assert "BTF" in refused_modules()["bad"]
    with pytest.raises(BtfError):
        module_btf("bad", base)
    (folder / "bad").write_bytes(good)
    assert [name for name, _ in modules_with("wanted", base)] == ["bad", "good"]
    assert refused_modules() == {}


def ask(target: Target | Btf, name: str, access: str, kind: int) -> tuple[str, int]:
    b = Builder()
    u32 = b.int("u32", 4)
    mine = b.struct(f"{name}___mine", 64, [("x", u32, 0), ("gone", u32, 32)])
    local = Btf.from_bytes(b.build(), name="prog")
    answer = Resolver(local, lambda: target).resolve(mine, access, kind)
    return answer.reason, answer.value


def test_relocations_look_into_modules(folder: Path) -> None:
    base = kernel()
    (folder / "veth").write_bytes(module(base, "veth_priv", 16))
    (folder / "hides").write_bytes(module(base, "common", 32))
    own = Target(base, "sysfs", "")
    assert ask(own, "veth_priv", "0:0", K.FIELD_BYTE_OFFSET) == ("", 16)
    assert ask(own, "veth_priv", "0:1", K.FIELD_EXISTS) == ("", 0)
    assert ask(own, "veth_priv", "0", K.TYPE_SIZE) == ("", 64)
    assert ask(own, "veth_priv", "0", K.TYPE_ID_TARGET) == ("", len(base) + 1)
    # The kernel's own type is the one that is meant, whatever modules have.
    assert ask(own, "common", "0", K.TYPE_SIZE) == ("", 8)
    # Modules continue the running kernel's types, so no other's.
    for other in (Target(base, "file", ""), Target.given(base), base):
        assert ask(other, "veth_priv", "0", K.TYPE_EXISTS) == ("", 0)


def test_modules_that_disagree(folder: Path) -> None:
    base = kernel()
    (folder / "one").write_bytes(module(base, "priv", 16))
    (folder / "two").write_bytes(module(base, "priv", 24))
    own = Target(base, "sysfs", "")
    assert "do not agree" in ask(own, "priv", "0:0", K.FIELD_BYTE_OFFSET)[0]
    assert ask(own, "priv", "0:0", K.FIELD_BYTE_SIZE) == ("", 4)
    # One that is corrupt has no say.
    (folder / "two").write_bytes(
        damaged(module(base, "wanted", 1))[0].replace(b"wanted", b"priv\0w")
    )
    assert ask(own, "priv", "0:0", K.FIELD_BYTE_OFFSET) == ("", 16)
    assert list(refused_modules()) == ["two"]
