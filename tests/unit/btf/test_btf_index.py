"""The index of looked-up names: kept, found again, and ignored when anything about it is off."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from skep.btf import index
from skep.btf.btf import Btf
from skep.btf.index import Index
from skep.btf.types import Kind
from skep.btf.writer import Builder

if TYPE_CHECKING:
    from pathlib import Path

NAMES = [f"thing_{number}" for number in range(40)]


def blob(names: list[str]) -> bytes:
    """Return BTF with an int, and a struct of each name and a pointer to it."""
    builder = Builder()
    number = builder.int("int", 4, signed=True)
    for name in names:
        builder.pointer(builder.struct(name, 4, [("value", number, 0)]))
    return builder.build()


def fresh(names: list[str] = NAMES) -> Btf:
    """Return that BTF as if it were the kernel's: walked only as far as needed."""
    return Btf.from_bytes(blob(names), trusted=True)


def answers(btf: Btf) -> list[tuple[list[int], list[int], str]]:
    """Ask everything there is to ask about a few names."""
    asked = ["thing_3", "thing_39", "int", "nothing"]
    return [
        (btf.find(name), btf.find(name, Kind.STRUCT), repr([btf.type(i) for i in btf.find(name)]))
        for name in asked
    ]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the index in a directory of the test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv(index.VARIABLE, str(folder))
    return folder


@pytest.fixture
def file(cache: Path) -> Path:
    """Write an index of a few answers and return its file."""
    btf = fresh()
    answers(btf)
    Index(btf, "boot 1").save()
    return cache / index.FILE


def is_used(identity: str = "boot 1", btf: Btf | None = None) -> bool:
    """Whether the file is taken over; in any case the answers are what they are without it."""
    found = btf or fresh()
    Index(found, identity).load()
    used = found.learned() != ({}, {})
    assert answers(found) == answers(fresh())
    return used


def test_what_was_looked_up_is_known_again(file: Path) -> None:
    assert is_used()
    first, second = fresh(), fresh()
    answers(first)
    Index(second, "boot 1").load()
    assert second.learned() == first.learned()
    assert second.find("thing_39") == fresh().find("thing_39")


def test_it_is_private(file: Path) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert os.listdir(file.parent) == [index.FILE]


def test_it_is_written_when_there_is_something_new_only(file: Path) -> None:
    before = file.stat().st_ino
    btf = fresh()
    again = Index(btf, "boot 1")
    again.load()
    answers(btf)
    again.save()
    assert file.stat().st_ino == before
    btf.find("thing_7")
    again.save()
    assert file.stat().st_ino != before
    assert is_used()


def test_nothing_asked_writes_nothing(cache: Path) -> None:
    Index(fresh(), "boot 1").save()
    assert not cache.exists()


def test_another_boot_of_the_same_kernel_compares_the_hash(file: Path) -> None:
    assert is_used("boot 2")
    btf = fresh()
    second = Index(btf, "boot 2")
    second.load()
    second.save()
    assert file.read_text().splitlines()[1] == "boot 2"
    assert file.read_text().splitlines()[2] == second.hash


def test_the_index_of_another_kernel_is_ignored(file: Path) -> None:
    other = Btf.from_bytes(blob([*NAMES, "one_more"]), trusted=True)
    Index(other, "boot 2").load()
    assert other.learned() == ({}, {})


def test_records_that_are_not_there_are_not_believed(file: Path) -> None:
    """Even if the header were to match: other names, and fewer records than it speaks of."""
    for names in ([name.replace("thing", "thong") for name in NAMES], NAMES[:5]):
        other = fresh(names)
        Index(other, "boot 1").load()
        assert other.learned() == ({}, {})


@pytest.mark.parametrize(
    ("places", "known"),
    [
        ({2: 0}, {}),
        ({2: -1}, {}),
        ({2: 1 << 40}, {}),
        ({2: 2}, {}),  # no kind
        ({}, {("thing_0", None): (2,)}),  # a name without a place
        ({1: 1}, {("int", int(Kind.STRUCT)): (1,)}),  # of another kind
        ({1: 1}, {("thing_0", None): (1,)}),  # of another name
    ],
)
def test_answers_that_make_no_sense_are_not_learned(
    places: dict[int, int], known: dict[tuple[str, int | None], tuple[int, ...]]
) -> None:
    btf = fresh()
    assert not btf.learn(places, known)
    assert btf.learned() == ({}, {})


def test_a_truncated_file_is_ignored(file: Path) -> None:
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        assert not is_used(), length
    file.write_bytes(whole)
    assert is_used()


def test_a_changed_byte_is_noticed(file: Path) -> None:
    whole = file.read_bytes()
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 8
        file.write_bytes(changed)
        assert not is_used(), place


def test_more_bytes_than_there_should_be(file: Path) -> None:
    whole = file.read_bytes()
    for extra in (b"\n", b"0", b"\0" * 100, bytes(index.MAX_SIZE)):
        file.write_bytes(whole + extra)
        assert not is_used()


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_is_ignored(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert not is_used()


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_directory_that_others_can_write_is_ignored(file: Path, mode: int) -> None:
    before = file.read_bytes()
    file.parent.chmod(mode)
    assert not is_used()
    btf = fresh()
    btf.find("thing_20")
    Index(btf, "boot 1").save()
    assert file.read_bytes() == before


def test_links_are_not_followed(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    file.rename(elsewhere)
    file.symlink_to(elsewhere)
    assert not is_used()
    file.unlink()
    elsewhere.rename(file)
    link = tmp_path / "link"
    link.symlink_to(file.parent)
    monkeypatch.setenv(index.VARIABLE, str(link))
    assert not is_used()


def test_what_is_no_file_is_ignored(file: Path) -> None:
    file.unlink()
    os.mkfifo(file, 0o600)
    assert not is_used()
    file.unlink()
    file.mkdir(0o700)
    assert not is_used()
    btf = fresh()
    btf.find("int")
    Index(btf, "boot 1").save()
    assert os.listdir(file.parent) == [index.FILE]  # and no scratch file is left


@pytest.mark.parametrize("where", ["/proc/skep-cache", "/dev/null/cache", "{file}/cache"])
def test_where_nothing_can_be_written_there_is_no_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("")
    monkeypatch.setenv(index.VARIABLE, where.format(file=occupied))
    assert not is_used()
    btf = fresh()
    expected = answers(btf)
    Index(btf, "boot 1").save()
    assert answers(btf) == expected


def test_a_full_disk_leaves_the_old_file(file: Path) -> None:
    """A limit on the size of files makes write(2) stop half-way, as a full disk does."""
    before = file.read_bytes()
    code = (
        "import resource, sys\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from test_btf_index import Index, answers, fresh\n"
        "btf = fresh()\n"
        "for number in range(40): btf.find(f'thing_{number}')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "Index(btf, 'boot 1').save()\n"
    )
    command = [sys.executable, "-c", code, os.path.dirname(__file__)]
    subprocess.run(command, check=True)
    assert file.read_bytes() == before
    assert os.listdir(file.parent) == [index.FILE]


def test_too_much_for_an_index_is_not_written(cache: Path) -> None:
    names = [f"a_type_with_quite_a_long_name_of_its_own_and_the_number_{n}" for n in range(3000)]
    btf = fresh(names)
    for name in names:
        assert len(btf.find(name)) == 1
    Index(btf, "boot 1").save()
    assert not (cache / index.FILE).exists()


def test_names_that_do_not_fit_the_file_are_left_out(file: Path) -> None:
    names = ["two words", "two\nlines", "\udcff", " "]
    btf = fresh(names)
    expected = [btf.find(name) for name in names]
    Index(btf, "boot 3").save()
    second = fresh(names)
    Index(second, "boot 3").load()
    assert [name for name, _ in second.learned()[1]] == ["two words", " "]
    assert [second.find(name) for name in names] == expected == [[2], [4], [6], [8]]


def test_many_writers_at_once(file: Path) -> None:
    """Two processes replace the file again and again; a reader finds a whole one each time."""
    code = (
        "import sys\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from test_btf_index import Index, fresh\n"
        "for turn in range(300):\n"
        "    btf = fresh()\n"
        "    for number in range(turn % 40 + 1): btf.find(f'thing_{number}')\n"
        "    Index(btf, 'boot 1').save()\n"
    )
    command = [sys.executable, "-c", code, os.path.dirname(__file__)]
    writers = [subprocess.Popen(command) for _ in range(2)]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        btf = fresh()
        Index(btf, "boot 1").load()
        seen.add(len(btf.learned()[1]))
    assert [writer.wait() for writer in writers] == [0, 0]
    assert 0 not in seen
    assert len(seen) > 1
    assert os.listdir(file.parent) == [index.FILE]


def test_where_it_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (index.VARIABLE, "CACHE_DIRECTORY", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    root = os.geteuid() == 0
    assert index.directory() == ("/var/cache/skep" if root else f"{tmp_path}/.cache/skep")
    monkeypatch.setenv("XDG_CACHE_HOME", "/home/cache")
    assert index.directory() == ("/var/cache/skep" if root else "/home/cache/skep")
    monkeypatch.setenv("CACHE_DIRECTORY", "/var/cache/unit:/var/cache/other")
    assert index.directory() == "/var/cache/unit/skep"
    monkeypatch.setenv(index.VARIABLE, "/somewhere/else")
    assert index.directory() == "/somewhere/else"
    monkeypatch.setenv(index.VARIABLE, "not/absolute")
    assert index.directory() is None
    monkeypatch.setenv(index.VARIABLE, "off")
    assert index.directory() is None
