"""Which BTF is chosen: every mode, every place, every kind of file, and why others were not."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest
from btf_blobs import archive, elf

from skep.btf import kernel, places
from skep.btf.btf import Btf
from skep.btf.target import Target, find_target
from skep.btf.writer import Builder
from skep.errors import BtfError, ElfError, NoBtfError

if TYPE_CHECKING:
    from pathlib import Path

RELEASE = os.uname().release
MACHINE = {"aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
NAME = f"{RELEASE}.btf"
NOT_THERE = "No such file or directory"
FOREIGN = "big" if sys.byteorder == "little" else "little"


@pytest.fixture(autouse=True)
def no_kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Put this machine's own places out of reach, and files of `tmp_path` in their stead."""
    monkeypatch.delenv("SKEP_BTF", raising=False)
    monkeypatch.setattr(kernel, "_sysfs", None)
    monkeypatch.setattr(kernel, "_kernel", None)
    monkeypatch.setattr(kernel, "VMLINUX", str(tmp_path / "sysfs"))
    images = tuple(str(tmp_path) + pattern for pattern in places.IMAGES)
    monkeypatch.setattr(places, "IMAGES", images)
    monkeypatch.setattr(places, "_OS_RELEASE", (str(tmp_path / "os-release"),))
    return monkeypatch


def blob(name: str = "here", byteorder: str = sys.byteorder, *, note: str = "") -> bytes:
    builder = Builder(byteorder)
    builder.int(name, 4)
    if note:
        builder.string(note)
    return builder.build()


def image(btf: bytes | None) -> bytes:
    """Return an ELF file with a section .BTF, as a vmlinux has."""
    return bytes(elf({} if btf is None else {".BTF": btf}).raw)


def put(path: Path, content: bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return str(path)


def has(target: Target, name: str) -> bool:
    return bool(target.require().find(name))


def test_the_kernels_own_comes_first_and_is_opened_once(tmp_path: Path) -> None:
    put(tmp_path / "sysfs", blob("sysfs"))
    put(tmp_path / f"boot/vmlinux-{RELEASE}", blob("boot"))
    target = find_target()
    assert (target.source, target.path, target.tried) == ("sysfs", str(tmp_path / "sysfs"), ())
    assert has(target, "sysfs")
    assert target.is_kernels_own
    assert find_target("sysfs").btf is target.btf is kernel.kernel_btf() is kernel.own_btf()
    assert repr(target) == f"<Target sysfs {tmp_path / 'sysfs'}>"


@pytest.mark.parametrize("form", [lambda data: data, image])
@pytest.mark.parametrize("number", range(7))
def test_every_place_of_an_image(tmp_path: Path, number: int, form: object) -> None:
    path = places.IMAGES[number].replace("{}", RELEASE)
    put(tmp_path / path[len(str(tmp_path)) + 1 :], form(blob()))  # type: ignore[operator]
    target = find_target("auto")
    assert (target.source, target.path) == ("boot", path)
    assert has(target, "here")
    assert target.is_kernels_own
    before = [pattern.replace("{}", RELEASE) for pattern in places.IMAGES[:number]]
    assert target.tried == tuple((each, NOT_THERE) for each in [str(tmp_path / "sysfs"), *before])


def test_what_is_wrong_with_a_place_does_not_stop_the_search(tmp_path: Path) -> None:
    put(tmp_path / "sysfs", b"garbage that is as long as a header")
    put(tmp_path / f"boot/vmlinux-{RELEASE}", b"\x7fELF")
    put(tmp_path / f"lib/modules/{RELEASE}/vmlinux-{RELEASE}", image(None))
    put(tmp_path / f"lib/modules/{RELEASE}/build/vmlinux", blob("foreign", FOREIGN))
    (tmp_path / f"usr/lib/modules/{RELEASE}/kernel/vmlinux").mkdir(parents=True)
    last = put(tmp_path / f"usr/lib/debug/lib/modules/{RELEASE}/vmlinux", image(blob()))
    target = find_target()
    assert (target.source, target.path) == ("boot", last)
    reasons = [reason for _, reason in target.tried]
    assert "magic number" in reasons[0]
    assert "ELF" in reasons[1]
    assert "no section .BTF" in reasons[2]
    assert f"{FOREIGN}-endian, this machine is not" in reasons[3]
    assert reasons[4:] == ["Is a directory", NOT_THERE, NOT_THERE]


def test_nothing_anywhere_is_said_when_it_is_needed(tmp_path: Path) -> None:
    target = find_target(near=str(tmp_path / "prog.bpf.o"))
    assert (target.btf, target.source, target.path) == (None, "none", "")
    assert not target.is_kernels_own
    tried = [path for path, _ in target.tried]
    images = [pattern.replace("{}", RELEASE) for pattern in places.IMAGES]
    assert tried == [str(tmp_path / "sysfs"), *images, str(tmp_path / "prog.btf")]
    with pytest.raises(NoBtfError, match=f"there is no BTF of this kernel: .*{NOT_THERE}") as said:
        target.require()
    assert all(path in str(said.value) for path in tried)
    assert str(said.value).count(NOT_THERE) == 1
    assert said.value.tried == target.tried
    assert "SKEP_BTF" in said.value.hint


def test_sysfs_means_nothing_else(tmp_path: Path) -> None:
    put(tmp_path / f"boot/vmlinux-{RELEASE}", blob("boot"))
    with pytest.raises(NoBtfError, match=f"sysfs: {NOT_THERE}") as said:
        find_target("sysfs")
    assert len(said.value.tried) == 1


def test_none_means_none(tmp_path: Path, no_kernel: pytest.MonkeyPatch) -> None:
    put(tmp_path / "sysfs", blob("sysfs"))
    target = find_target("none")
    assert (target.btf, target.source) == (None, "none")
    with pytest.raises(NoBtfError, match="none was asked for"):
        target.require()
    no_kernel.setenv("SKEP_BTF", "none")
    with pytest.raises(NoBtfError, match="SKEP_BTF is none"):
        kernel.kernel_btf()
    # What a program attaches to is a matter of the kernel's own types.
    assert kernel.own_btf().find("sysfs")


@pytest.mark.parametrize("form", [lambda data: data, image])
def test_a_file_by_argument_and_by_variable(
    tmp_path: Path, no_kernel: pytest.MonkeyPatch, form: object
) -> None:
    put(tmp_path / "sysfs", blob("sysfs"))
    path = put(tmp_path / "mine", form(blob("mine")))  # type: ignore[operator]
    other = put(tmp_path / "other", blob("other"))
    for given in (path, tmp_path / "mine"):
        target = find_target(given)
        assert (target.source, target.path, has(target, "mine")) == ("file", path, True)
        assert not target.is_kernels_own
    no_kernel.setenv("SKEP_BTF", path)
    assert has(find_target(), "mine")
    assert kernel.kernel_btf().find("mine")
    assert has(find_target(other), "other")  # an argument counts more than the variable
    assert has(find_target("auto"), "sysfs")
    assert kernel.own_btf().find("sysfs")


def test_a_file_is_read_again_only_when_it_changed(tmp_path: Path) -> None:
    path = put(tmp_path / "mine", blob("first"))
    first = find_target(path).btf
    assert find_target(path).btf is first
    put(tmp_path / "mine", blob("a second one"))
    assert has(find_target(path), "a second one")


def test_wrong_values(tmp_path: Path, no_kernel: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoBtfError, match=f"BTF file sysf cannot be opened: {NOT_THERE}") as said:
        find_target("sysf")
    assert "auto, sysfs and none" in said.value.hint
    missing = str(tmp_path / "missing")
    no_kernel.setenv("SKEP_BTF", missing)
    with pytest.raises(NoBtfError, match="missing named by SKEP_BTF cannot be opened") as said:
        find_target()
    assert (said.value.where, said.value.tried) == ("SKEP_BTF", ((missing, NOT_THERE),))
    bad = put(tmp_path / "bad", b"neither BTF nor ELF, but long enough")
    no_kernel.setenv("SKEP_BTF", bad)
    with pytest.raises(BtfError, match="bad does not start with the BTF magic") as wrong:
        find_target()
    assert "SKEP_BTF" in wrong.value.hint
    for content, error in ((image(b""), BtfError), (b"\x7fELF\x02\x01\x01", ElfError)):
        with pytest.raises(error, match="bad"):
            find_target(put(tmp_path / "bad", content))
    no_kernel.setattr(places, "MAX_SIZE", 20)
    with pytest.raises(BtfError, match="more than 20 bytes"):
        find_target(put(tmp_path / "large", blob()))


OWN = f"debian/12/{MACHINE}/{RELEASE}.btf"
OTHER = f"ubuntu/22.04/{MACHINE}/{RELEASE}.btf"


@pytest.mark.parametrize("path", [OWN, OTHER, f"{RELEASE}.btf"])
@pytest.mark.parametrize("packed", [False, True])
def test_directories(tmp_path: Path, path: str, packed: bool) -> None:
    put(tmp_path / "os-release", b'PRETTY_NAME="x"\nID=debian\nVERSION_ID="12"\n')
    content = archive(blob(), NAME) if packed else blob()
    stored = put(tmp_path / "hub" / (path + (".tar.xz" if packed else "")), content)
    put(tmp_path / f"hub/debian/12/{MACHINE}/1.2.3.btf", blob("older"))
    put(tmp_path / f"hub/debian/12/riscv/{RELEASE}.btf", blob("riscv"))
    target = find_target(str(tmp_path / "hub"))
    assert (target.source, target.path) == ("directory", stored)
    assert has(target, "here")
    assert all(reason == NOT_THERE for _, reason in target.tried)


def test_a_directory_where_the_choice_is_not_clear(tmp_path: Path) -> None:
    hub = str(tmp_path / "hub")
    put(tmp_path / "hub" / OWN, blob("debian"))
    put(tmp_path / "hub" / OTHER, blob("ubuntu"))
    with pytest.raises(NoBtfError, match=f"it has {RELEASE} for several: .*debian.*ubuntu") as said:
        find_target(hub)
    assert said.value.tried[-1][0] == hub
    put(tmp_path / "os-release", b"ID=ubuntu\nVERSION_ID=22.04\n")
    assert has(find_target(hub), "ubuntu")


def test_a_directory_without_this_kernel(tmp_path: Path, no_kernel: pytest.MonkeyPatch) -> None:
    put(tmp_path / f"hub/debian/12/{MACHINE}/1.2.3.btf", blob())
    put(tmp_path / f"hub/arch/rolling/{MACHINE}/{RELEASE}.btf", b"bad")
    no_kernel.setenv("SKEP_BTF", str(tmp_path / "hub"))
    with pytest.raises(NoBtfError, match="hub named by SKEP_BTF has none for this") as said:
        find_target()
    assert f"{RELEASE}.btf" in said.value.hint
    assert "truncated" in said.value.tried[-1][1]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"nothing of the kind", "no .tar.xz archive"),
        (archive(blob(), "README"), "no file whose name ends in .btf"),
        (archive(os.urandom(9000), NAME)[:5000], "kernel.btf.tar.xz is"),
        (archive(b"neither BTF nor anything else", NAME), "magic number"),
    ],
)
def test_archives_that_are_not(tmp_path: Path, content: bytes, reason: str) -> None:
    path = put(tmp_path / "kernel.btf.tar.xz", content)
    with pytest.raises(BtfError, match=reason):
        find_target(path)


def test_an_archive_of_a_large_file(tmp_path: Path, no_kernel: pytest.MonkeyPatch) -> None:
    no_kernel.setattr(places, "MAX_SIZE", 1000)
    path = put(tmp_path / "kernel.btf.tar.xz", archive(bytes(2000), NAME))
    with pytest.raises(BtfError, match="has a file of 2000 bytes"):
        find_target(path)


@pytest.mark.parametrize("stored", ["prog.btf", f"prog.btf/{RELEASE}.btf", f"prog.btf/{OTHER}"])
@pytest.mark.parametrize("near", ["prog.bpf.o", "prog.o"])
def test_what_is_shipped_beside_the_object(tmp_path: Path, stored: str, near: str) -> None:
    path = put(tmp_path / stored, blob())
    target = find_target(near=str(tmp_path / near))
    assert (target.source, target.path) == ("shipped", path)
    assert has(target, "here")
    assert not target.is_kernels_own
    assert find_target().btf is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (blob(note=f"{places.MADE_FOR}1.2.3"), f"made for Linux 1.2.3, and this is {RELEASE}"),
        (blob("x", FOREIGN), "this machine is not"),
        (b"", "truncated"),
    ],
)
def test_what_is_shipped_for_another_kernel(tmp_path: Path, content: bytes, reason: str) -> None:
    path = put(tmp_path / "prog.btf", content)
    target = find_target(near=str(tmp_path / "prog.bpf.o"))
    assert target.btf is None
    assert target.tried[-1][0] == path
    assert reason in target.tried[-1][1]
    put(tmp_path / "prog.btf", blob(note=places.MADE_FOR + RELEASE))
    assert find_target(near=str(tmp_path / "prog.bpf.o")).source == "shipped"


def test_one_that_is_given() -> None:
    btf = Btf.from_bytes(blob(), name="mine")
    target = Target.given(btf)
    assert (target.source, target.path, target.require()) == ("given", "mine", btf)
