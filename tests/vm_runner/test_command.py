"""``python -m skep.vm``: several guests at once, exit statuses, and no emulator left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import compiling
from in_guests import SERIES

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = [sys.executable, "-m", "skep.vm"]


def vm(*arguments: str, cache: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "--cache", cache, *arguments],
        cwd=compiling.ROOT,
        env={**os.environ, "SKEP_TOLD": "so"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_two_kernels_side_by_side(cache: str, tmp_path: Path) -> None:
    script = 'uname -r > /results/release; echo "told $SKEP_TOLD"; exit $(uname -r | cut -d. -f2)'
    done = vm(
        *("--results", str(tmp_path), "--processors", "2", "--memory", "512"),
        *(*SERIES, "--", "sh", "-c", script),
        cache=cache,
    )
    assert done.stderr == ""
    assert done.returncode == max(int(series.split(".")[1]) for series in SERIES)
    assert done.stdout.count("told so") == len(SERIES)
    for series in SERIES:
        release = (tmp_path / series / "release").read_text().strip()
        assert release.startswith(f"{series}.")
        assert f"== Linux {release}: exit {release.split('.')[1]}" in done.stdout


def test_statuses_of_its_own(cache: str) -> None:
    dead = vm(SERIES[-1], "--", "sh", "-c", "echo b > /proc/sysrq-trigger; sleep 9", cache=cache)
    assert dead.returncode == 125
    assert "died" in dead.stdout
    late = vm("--timeout", "1", SERIES[-1], "--", "true", cache=cache)
    assert late.returncode == 124
    assert "did not end within 1 s" in late.stdout
    unknown = vm("9.99", "--", "true", cache=cache)
    assert unknown.returncode == 125
    assert "series '9.99'" in unknown.stdout
    wrong = vm(SERIES[-1], cache=cache)
    assert wrong.returncode == 2
    assert "the command goes after --" in wrong.stderr


def children(pid: int) -> list[int]:
    found: list[int] = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children") as listed:
            found += map(int, listed.read().split())
    return found


def test_the_emulator_dies_with_its_parent(cache: str) -> None:
    command = [*COMMAND, "--cache", cache, SERIES[-1], "--", "sleep", "1000"]
    parent = subprocess.Popen(command, cwd=compiling.ROOT, stdout=subprocess.DEVNULL)
    end = time.monotonic() + 30
    while not (emulators := children(parent.pid)) and time.monotonic() < end:
        time.sleep(0.05)
    (emulator,) = emulators
    pidfd = os.pidfd_open(emulator)
    try:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        import select

        assert select.select([pidfd], [], [], 10)[0] == [pidfd]
    finally:
        os.close(pidfd)
