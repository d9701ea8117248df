"""Functions in executables and libraries: names to file offsets."""

from __future__ import annotations

import os
import random
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from skep.elf.binary import Binary, resolve_binary
from skep.elf.reader import EM_X86_64
from skep.errors import ClosedError, ElfError, NotFoundError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENDBR64 = b"\xf3\x0f\x1e\xfa"


@pytest.fixture
def specimen(library: Path) -> Iterator[Binary]:
    with Binary(library) as binary:
        yield binary


@pytest.mark.parametrize("name", ["counted", "weak_one", "uses", "other", "versioned", "choose"])
def test_offset_is_the_code(specimen: Binary, library: Path, name: str) -> None:
    hit = specimen.symbol_offset(name)
    assert (hit.name, hit.section) == (name, ".text")
    assert library.read_bytes()[hit.file_offset :].startswith(ENDBR64)
    assert specimen.code(hit)[:4] == ENDBR64
    assert len(specimen.code(hit)) == hit.size > 4
    # The linker gives code a page of its own in memory but not in the file.
    assert hit.address != hit.file_offset
    assert specimen.file_offset(hit.address) == hit.file_offset
    assert specimen.address(hit.file_offset) == hit.address


def test_machine_and_build_id(specimen: Binary, library: Path) -> None:
    assert specimen.machine == EM_X86_64
    build_id = specimen.build_id
    assert build_id is not None
    assert len(build_id) == 40
    assert bytes.fromhex(build_id) in library.read_bytes()


def test_versions(specimen: Binary) -> None:
    old, new = specimen.symbol_offset("versioned@V_1"), specimen.symbol_offset("versioned@@V_2")
    assert old.file_offset != new.file_offset
    assert specimen.symbol_offset("versioned").file_offset == new.file_offset
    assert specimen.symbol_offset("old_one").file_offset == old.file_offset
    with pytest.raises(NotFoundError):
        specimen.symbol_offset("versioned@V_3")


def test_ifunc_is_refused(specimen: Binary) -> None:
    with pytest.raises(UnsupportedError, match="GNU_IFUNC") as caught:
        specimen.symbol_offset("chosen")
    assert caught.value.feature == "GNU_IFUNC"


def test_imported(specimen: Binary) -> None:
    with pytest.raises(NotFoundError, match="uses imported but does not define it"):
        specimen.symbol_offset("imported")


def test_two_of_one_name(specimen: Binary) -> None:
    with pytest.raises(NotFoundError, match="has 2 functions called twin") as caught:
        specimen.symbol_offset("twin")
    addresses = caught.value.addresses  # type: ignore[attr-defined]
    assert len(addresses) == 2
    assert hex(addresses[1]) in caught.value.hint


@pytest.mark.parametrize("name", ["countd", "Counted", "count"])
def test_similar_names(specimen: Binary, name: str) -> None:
    with pytest.raises(NotFoundError, match="has no function") as caught:
        specimen.symbol_offset(name)
    assert "counted" in caught.value.hint
    assert caught.value.name == name


@pytest.mark.parametrize("name", ["", "\0", "ounted", "counted\0", "@", "zzzzzz", "é\udcff"])
def test_names_that_are_none(specimen: Binary, name: str) -> None:
    with pytest.raises(NotFoundError):
        specimen.symbol_offset(name)


def test_functions(specimen: Binary) -> None:
    names = [hit.name for hit in specimen.functions()]
    assert names.count("counted") == 1
    assert names.count("twin") == 2
    assert {"weak_one", "uses", "versioned"} <= set(names)
    assert not {"chosen", "imported"} & set(names)


def test_address_outside(specimen: Binary) -> None:
    with pytest.raises(NotFoundError, match="no code or data at address 0xffffffff"):
        specimen.file_offset(0xFFFFFFFF)
    with pytest.raises(NotFoundError, match="does not map file offset"):
        specimen.address(1 << 40)


def test_closed(library: Path) -> None:
    binary = Binary(library)
    binary.close()
    binary.close()
    with pytest.raises(ClosedError, match="was closed"):
        binary.symbol_offset("counted")


def test_nothing_stays_mapped(library: Path) -> None:
    with Binary(library) as binary:
        list(binary.functions())
        assert binary.build_id
        with open("/proc/self/maps") as lines:
            assert str(library) in lines.read()
    with open("/proc/self/maps") as lines:
        assert str(library) not in lines.read()


def test_errors_of_files(tmp_path: Path, bpf_object: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no binary"):
        Binary(tmp_path / "absent")
    with pytest.raises(ElfError, match="cannot be read"):
        Binary(tmp_path)
    for name, content in (("empty", b""), ("script", b"#!/bin/sh\n")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ElfError, match="is not an ELF file"):
            Binary(tmp_path / name)
    with pytest.raises(ElfError, match="neither an executable nor a shared library"):
        Binary(bpf_object)


def test_stripped(library: Path) -> None:
    with Binary(library.with_name("libstripped.so")) as binary:
        assert binary.symbol_offset("counted").size
        with pytest.raises(NotFoundError):
            binary.symbol_offset("choose")


def test_damaged_files_raise_only_expected_errors(library: Path, tmp_path: Path) -> None:
    whole = library.read_bytes()
    random.seed(7)
    path = tmp_path / "damaged.so"
    opened = 0
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(random.randrange(1, 30)):
            data[random.randrange(len(data))] = random.randrange(256)
        path.write_bytes(data[: random.choice((len(data), random.randrange(len(data))))])
        try:
            with Binary(path) as binary:
                opened += 1
                assert binary.build_id != ""
                list(binary.functions())
                binary.code(binary.symbol_offset("versioned"))
        except (ElfError, NotFoundError, UnsupportedError) as error:
            assert str(error)  # noqa: PT017 - any other exception fails the test
    assert opened > 20


def test_resolve_libraries() -> None:
    paths = {resolve_binary(name) for name in ("c", "libc", "libc.so.6")}
    assert len(paths) == 1
    with Binary(paths.pop()) as libc:
        assert libc.symbol_offset("malloc").size > 0


def test_resolve_programs() -> None:
    assert resolve_binary("sh") == shutil.which("sh")
    assert resolve_binary(sys.executable) == sys.executable


def test_resolve_as_a_process_sees_it() -> None:
    path = resolve_binary("c", os.getpid())
    assert path.startswith(f"/proc/{os.getpid()}/root/")
    assert os.path.samefile(path, resolve_binary("c"))
    assert resolve_binary(sys.executable, os.getpid()).endswith(sys.executable)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("/no/such/binary", "the binary /no/such/binary does not exist on this machine"),
        ("/etc/", "is a folder"),
        ("no-such-program", "there is no program or library called no-such-program"),
        ("", "is empty"),
    ],
)
def test_resolve_nothing(name: str, says: str) -> None:
    with pytest.raises(NotFoundError, match=says):
        resolve_binary(name)


def test_resolve_for_no_process() -> None:
    with pytest.raises(NotFoundError, match="there is no process 4194305"):
        resolve_binary("c", 4194305)  # above the largest number Linux gives out
