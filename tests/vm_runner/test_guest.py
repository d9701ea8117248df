"""One guest at a time: what goes in, what comes back, and how it may end."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from skep.errors import NotFoundError
from skep.vm import guest, kernels, programs

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = r"""
uname -r
echo "$0 $1 $SKEP_TOLD $PWD" >&2
cat "$2/hello"
stat -c '%a %Y %s' "$2/hello" "$2/empty"
readlink "$2/link"
mkdir -p /results/deep/er
printf 'a\0b\r\n' > /results/deep/er/bytes
cp "$2/large" /results/
exec 3<>/dev/ttyS3
for word in one bad two; do echo $word >&3; read answer <&3; echo "$word: $answer"; done
python3 -c 'import sys, skep.errors, numpy; print(sys.executable, numpy.arange(3).sum())'
exit 42
"""


def test_everything_goes_in_and_comes_back(
    kernel: kernels.Kernel, root: str, tmp_path: Path
) -> None:
    large = os.urandom(300_000)
    (tmp_path / "large").write_bytes(large)
    (tmp_path / "empty").touch()
    (tmp_path / "hello").write_text("héllo\n")
    (tmp_path / "hello").chmod(0o750)
    os.utime(tmp_path / "hello", (0, 1_700_000_000))
    (tmp_path / "link").symlink_to("hello")
    asked: list[str] = []

    def serve(line: str) -> str:
        asked.append(line)
        if line == "bad":
            raise ValueError(line)
        return line.upper()

    result = guest.run(
        kernel,
        root,
        ["sh", "-c", SCRIPT, "a name", "it's", str(tmp_path)],
        files=[str(tmp_path), "src"],
        contents={"/made/up": b"contents"},
        folder="/made",
        environment={"SKEP_TOLD": "two words"},
        serve=serve,
    )
    lines = result.output.splitlines()
    assert result.status == 42, result.console
    assert lines[0] == kernel.release
    assert lines[1] == "a name it's two words /made"
    assert lines[2] == "héllo"
    assert lines[3] == "750 1700000000 7"
    assert lines[4].startswith("644 ")
    assert lines[5:9] == ["hello", "one: ONE", "bad: ", "two: TWO"]
    assert lines[9].endswith("bin/python3 3")
    assert asked == ["one", "bad", "two"]
    assert result.files == {"deep/er/bytes": b"a\0b\r\n", "large": large}


def test_the_time_limit_ends_it(kernel: kernels.Kernel, root: str) -> None:
    began = time.monotonic()
    with pytest.raises(guest.GuestTimeoutError, match="within 12 s on Linux") as caught:
        guest.run(kernel, root, ["sh", "-c", "echo started; sleep 1000"], timeout=12)
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.output == "started\n"
    assert time.monotonic() - began < 25


def test_a_panic_is_told_with_the_last_words(kernel: kernels.Kernel, root: str) -> None:
    with pytest.raises(guest.GuestError, match=r"died: .*Kernel panic") as caught:
        guest.run(kernel, root, ["sh", "-c", "echo before; echo c > /proc/sysrq-trigger; sleep 9"])
    assert not isinstance(caught.value, TimeoutError)
    assert caught.value.output == "before\n"
    assert "sysrq" in caught.value.console


def test_no_memory_for_the_kernel(kernel: kernels.Kernel, root: str) -> None:
    """It cannot even unpack its first file system."""
    with pytest.raises(guest.GuestError, match="died"):
        guest.run(kernel, root, ["true"], memory=40, timeout=60)


def test_no_root_image(kernel: kernels.Kernel, tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(bytes(1 << 20))
    with pytest.raises(guest.GuestError, match="no root image"):
        guest.run(kernel, str(tmp_path / "image"), ["true"])
    with pytest.raises(guest.GuestError, match="No such file"):
        guest.run(kernel, str(tmp_path / "missing"), ["true"])


def test_a_missing_program_names_its_package(
    kernel: kernels.Kernel, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = programs.find
    monkeypatch.setattr(programs, "find", lambda name: None if "qemu" in name else find(name))
    with pytest.raises(NotFoundError, match="apt install qemu-system-x86"):
        guest.run(kernel, root, ["true"])
    assert programs.missing() == ["qemu-system-x86"]


def test_a_series_that_is_unknown(cache: str) -> None:
    with pytest.raises(NotFoundError, match=r"no cloud kernel of the series '9\.99'"):
        kernels.fetch("9.99", cache)
