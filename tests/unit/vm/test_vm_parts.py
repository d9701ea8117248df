"""The parts of the guest runner that need no guest."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.errors import NotFoundError
from skep.vm import cpio, guest, kernels, modules, programs, scripts

if TYPE_CHECKING:
    from pathlib import Path


def unpack(data: bytes) -> list[tuple[str, int, int, bytes]]:
    """Read a "newc" archive: path, mode, time and data of each member."""
    found: list[tuple[str, int, int, bytes]] = []
    at = 0
    while True:
        assert data[at : at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        mode, changed, size, length = fields[1], fields[5], fields[6], fields[11]
        name = data[at + 110 : at + 110 + length - 1].decode()
        assert data[at + 110 + length - 1] == 0
        begin = at + 110 + length
        begin += -begin % 4
        if name == "TRAILER!!!":
            assert begin == len(data)
            return found
        found.append((name, mode, changed, data[begin : begin + size]))
        at = begin + size
        at += -at % 4


NAMES = st.text("abc.é ", min_size=1, max_size=9).filter(lambda name: name.strip(". "))


@given(
    st.dictionaries(
        st.lists(NAMES, min_size=1, max_size=4).map(lambda p: "/".join(p) + "!"), st.binary()
    )
)
def test_archives_hold_what_went_in(contents: dict[str, bytes]) -> None:
    entries = {path: cpio.Entry(0o100640, data, 7) for path, data in contents.items()}
    found = unpack(cpio.archive(entries))
    files = {name: data for name, mode, _, data in found if mode == 0o100640}
    assert files == contents
    folders = [name for name, mode, _, _ in found if mode == 0o040755]
    assert len(folders) == len(set(folders))
    seen: set[str] = set()
    for name, _, _, _ in found:  # a folder comes before what is in it
        assert not os.path.dirname(name) or os.path.dirname(name) in seen
        seen.add(name)


def test_a_tree_keeps_modes_times_and_links(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_bytes(b"x" * 5)
    (tmp_path / "a" / "b" / "file").chmod(0o700)
    os.utime(tmp_path / "a" / "b" / "file", (1, 1234567890))
    (tmp_path / "a" / "link").symlink_to("b/file")
    os.mkfifo(tmp_path / "a" / "pipe")
    found = cpio.tree(str(tmp_path / "a"))
    where = str(tmp_path / "a").lstrip("/")
    assert set(found) == {f"{where}/b/file", f"{where}/link"}
    assert found[f"{where}/b/file"] == (0o100700, b"xxxxx", 1234567890)
    assert found[f"{where}/link"][:2] == (0o120777, b"b/file")
    assert cpio.tree(str(tmp_path / "a" / "b" / "file")) == {
        f"{where}/b/file": found[f"{where}/b/file"]
    }


PACKAGES = [
    "linux-image-6.1-cloud-amd64",
    "linux-image-6.1.0-9-cloud-amd64",
    "linux-image-6.1.0-56-cloud-amd64",
    "linux-image-6.1.0-56-cloud-amd64-dbg",
    "linux-image-6.1.0-56-amd64",
    "linux-image-6.10.11+bpo-cloud-amd64",
    "linux-image-6.12.9+deb12-cloud-amd64",
    "linux-image-6.12.117+deb12-cloud-amd64",
    "linux-image-6.12.117+deb12-cloud-amd64-unsigned",
    "linux-image-6.12.48+deb13-cloud-amd64",
    "linux-image-cloud-amd64",
]


@pytest.mark.parametrize(
    ("series", "newest"),
    [
        ("6.1", "linux-image-6.1.0-56-cloud-amd64"),
        ("6.10", "linux-image-6.10.11+bpo-cloud-amd64"),
        ("6.12", "linux-image-6.12.117+deb12-cloud-amd64"),
        ("6", "linux-image-6.12.117+deb12-cloud-amd64"),
        ("6.11", None),
        ("6.1.", None),
    ],
)
def test_the_newest_release_of_a_series(series: str, newest: str | None) -> None:
    assert kernels.newest(series, PACKAGES) == newest
    assert kernels.newest(series, PACKAGES[::-1]) == newest


def test_an_incomplete_package_is_refused(tmp_path: Path) -> None:
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot" / "vmlinuz-6.1.0-1-cloud-amd64").touch()
    with pytest.raises(NotFoundError, match="no modules"):
        kernels.opened(str(tmp_path))
    (tmp_path / "usr" / "lib" / "modules" / "6.1.0-1-cloud-amd64").mkdir(parents=True)
    assert kernels.opened(str(tmp_path)).release == "6.1.0-1-cloud-amd64"


def test_modules_come_after_what_they_need(tmp_path: Path) -> None:
    import lzma

    folder = tmp_path / "kernel" / "drivers"
    folder.mkdir(parents=True)
    info = {
        "virtio_blk": b"license=GPL\0depends=virtio,virtio-ring\0",
        "virtio": b"\0depends=\0",
        "virtio_ring": b"alias=x\0depends=virtio\0softdep=pre: extra \0",
        "extra": b"",
        "unwanted": b"",
    }
    for name, data in info.items():
        (folder / f"{name}.ko").write_bytes(data)
    (folder / "virtio_ring.ko").unlink()
    (folder / "virtio-ring.ko.xz").write_bytes(lzma.compress(info["virtio_ring"]))
    kernel = kernels.Kernel("6.1", "", str(tmp_path))
    found = modules.module_files(kernel, ("virtio-blk", "built_in"))
    assert list(found) == ["virtio", "extra", "virtio_ring", "virtio_blk"]
    assert found["virtio_ring"] == info["virtio_ring"]


def test_the_script_of_a_guest_is_shell(tmp_path: Path) -> None:
    text = scripts.run_script(
        ["printf", "%s|", "it's", "two words", "$HOME"],
        folder="/a folder",
        environment={"SKEP_X": "a'b c"},
        programs="/venv/bin",
        nonce="nonce",
    )
    path = tmp_path / "script"
    for script in (text, scripts.INIT):
        path.write_text(script)
        subprocess.run(["sh", "-n", str(path)], check=True)
    (line,) = [line for line in text.splitlines() if "printf" in line]
    line = line.partition(" >/dev/ttyS1")[0].replace("printf", "sh -c 'echo $SKEP_X' ; printf")
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout == "a'b c\nit's|two words|$HOME|"


def test_a_result_cut_short_keeps_what_came_whole() -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in ("./one", "./deep/two"):
            member = tarfile.TarInfo(name)
            member.size = 2000
            archive.addfile(member, io.BytesIO(bytes(2000)))
    whole = packed.getvalue()
    assert guest._untar(whole) == {"one": bytes(2000), "deep/two": bytes(2000)}
    assert guest._untar(whole[:3000]) == {"one": bytes(2000)}
    assert guest._untar(b"") == {}


def test_the_last_words_begin_with_the_panic() -> None:
    console = "booting\n[    1.0] Kernel panic - not syncing: no init\n[    1.1] CPU: 0\n"
    assert guest._last_words(console).startswith("[    1.0] Kernel panic")
    assert guest._last_words("a\n\nb\n") == "a | b"
    assert guest._last_words("") == "it printed nothing"


def test_a_busybox_with_shared_libraries_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    segment = struct.pack("<IIQQQQQQ", 3, 4, 0, 0, 0, 0, 0, 1)
    header = b"\x7fELF\2\1\1" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    (tmp_path / "busybox").write_bytes(header + segment)
    monkeypatch.setattr(guest, "need", lambda _: str(tmp_path / "busybox"))
    with pytest.raises(NotFoundError, match="apt install busybox-static"):
        guest._busybox()


def test_what_is_missing_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "find", lambda _: None)
    with pytest.raises(NotFoundError, match="apt install qemu-system-x86 busybox-static e2fsprogs"):
        programs.install()
