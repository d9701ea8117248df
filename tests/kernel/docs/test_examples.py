"""The examples, built with `skep build` and run; what they find is what was done."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO, Self, cast

import numpy as np
import pytest
from docs_support import EXAMPLES, Run, prepare
from page_drivers import Worker, start

ALONE = ["assembled"]  # Python with no C beside it
NAMES = ["bigalloc", "latency", "sampling", "starts", "syscalls"]


@pytest.fixture
def built(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A folder with the example that the test is named after, built as a reader would."""
    name = request.function.__name__.removeprefix("test_")
    prepare(tmp_path)
    for suffix in (".bpf.c", ".py"):
        shutil.copy(EXAMPLES / (name + suffix), tmp_path)
    with Run(f".venv/bin/skep build {name}.bpf.c", tmp_path) as build:
        assert build.rest() == [f"{name}.bpf.o"]
    return tmp_path


class Child:
    """Python that does something for each line it is told, and says "done" after it."""

    def __init__(self, *source: str) -> None:
        loop = ["for line in sys.stdin:", "    act(line)", "    print('done', flush=True)"]
        self.process = subprocess.Popen(
            [sys.executable, "-c", "\n".join(["import sys", *source, *loop])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    def act(self, line: object = "") -> None:
        stdin, stdout = cast("IO[str]", self.process.stdin), cast("IO[str]", self.process.stdout)
        stdin.write(f"{line}\n")
        stdin.flush()
        assert stdout.readline() == "done\n"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def test_all_examples_are_tested_and_listed() -> None:
    found = sorted(path.name for path in EXAMPLES.iterdir() if path.suffix in {".c", ".py"})
    pairs = [name + suffix for name in NAMES for suffix in (".bpf.c", ".py")]
    assert found == sorted([*pairs, *(f"{name}.py" for name in ALONE)])
    listed = set(re.findall(r"\(([\w.]+\.(?:c|py))\)", (EXAMPLES / "README.md").read_text()))
    assert listed == set(found)


def test_assembled(tmp_path: Path) -> None:
    prepare(tmp_path)
    shutil.copy(EXAMPLES / "assembled.py", tmp_path)
    with Run("sudo .venv/bin/python assembled.py 4242", tmp_path) as run:
        shown = run.rest()
    assert "  13: if r5 != 0x1092 goto +5 <out>" in shown
    assert shown[-9:-4] == [
        "udp to port 4242: dropped",
        "udp to port 4243: passed",
        "tcp to port 4242: passed",
        "tcp to port 4243: passed",
        "1 dropped",
    ]
    for line, (name, index, words) in zip(
        shown[-4:],
        [
            ("lost", 2, "(r0 = 1) is never reached"),
            ("stack", 2, "(*(u64 *)(r2 + 0) = r1) writes 8 bytes at r10-600, outside of the stack"),
            ("helper", 0, "(call bpf_probe_write_user#36) calls bpf_probe_write_user, which this"),
            ("endless", 1, "(goto -2 <again>) closes a loop that nothing leaves"),
        ],
        strict=True,
    ):
        start = f"program {name!r} (xdp) would be refused: instruction {index} {words}"
        assert line.startswith(start)
        assert ", at assembled.py:" in line


def test_syscalls(built: Path) -> None:
    with Worker() as worker, Run("sudo .venv/bin/python syscalls.py 60", built) as run:
        assert run.until("Counting") == ["Counting for 60 s, or until Ctrl-C"]
        for _ in range(200):
            worker.go()
        shown = run.interrupt()
    rows = [line.split() for line in shown if re.match(r" +\d+ +\d+ \S", line)]
    counts = [int(row[0]) for row in rows]
    assert counts == sorted(counts, reverse=True)
    mine = next(row for row in rows if row[1] == str(worker.process.pid))
    # A thousand calls of getppid each time, and a few to be told and to answer.
    assert 200 * 1000 < int(mine[0]) <= 200 * 1010
    assert shown[-1] == f"the busiest is {rows[0][2]} with {counts[0]}"
    total = re.fullmatch(r" *(\d+) calls of (\d+) processes", shown[-2])
    assert total
    assert int(total[1]) >= sum(counts)
    assert int(total[2]) >= len(rows)


def test_starts(built: Path) -> None:
    with Run("sudo .venv/bin/python starts.py starts.npy", built) as run:
        run.until("Watching")
        pids = [start("true") for _ in range(3)]
        run.until(r"\d+ starts: ")
        pids.append(start("env", "true"))  # one process, two programs
        shown = run.interrupt()
    produced = re.match(r"<StreamStats (\d+) produced = (\d+) delivered \+ 0 lost ", shown[-2])
    assert produced
    saved = np.load(built / "starts.npy")
    assert len(saved) == int(produced[1]) == int(produced[2])
    mine = saved[saved["parent"] == os.getpid()]
    assert mine["pid"].tolist() == [*pids, pids[-1]]
    assert mine["comm"].tolist() == [b"true"] * 3 + [b"env", b"true"]
    assert (np.diff(mine["time"].astype(np.int64)) > 0).all()
    me = Path("/proc/self/comm").read_text().strip()
    assert set(mine["parent_comm"].tolist()) == {me.encode()}
    assert f" {me} -> true" in shown[-1]


def test_latency(built: Path) -> None:
    """A function that sleeps for 2 ms takes as long, as often as it is called."""
    source = ["import ctypes", "libc = ctypes.CDLL(None)", "def act(_): libc.usleep(2000)"]
    with Child(*source) as child:
        child.act()
        with Run(f"sudo .venv/bin/python latency.py libc:usleep {child.pid}", built) as run:
            assert run.until("Measuring") == ["Measuring libc:usleep, Ctrl-C to end"]
            for _ in range(20):
                child.act()
            shown = run.interrupt()
    last = re.fullmatch(r"(\d+) calls, (\d+) ns on average", shown[-1])
    assert last
    assert int(last[1]) == 20
    assert 2_000_000 <= int(last[2]) < 1_000_000_000
    rows = [re.match(r" *(\d+) ns \.\. +(\d+) #*$", line) for line in shown[1:-1]]
    assert sum(int(row[2]) for row in rows if row) == 20
    assert all(row and int(row[1]) >= 1 << 20 for row in rows)


def test_sampling(built: Path) -> None:
    source = [
        "import time",
        "open('/proc/self/comm', 'w').write('busybee')",
        "def act(_):",
        "    end = time.process_time() + 0.5",
        "    while time.process_time() < end: pass",
    ]
    with Child(*source) as child, Run("sudo .venv/bin/python sampling.py 60", built) as run:
        run.until("Sampling")
        child.act()
        shown = run.interrupt()
    rows = [re.fullmatch(r" *(\d+) +([\d.]+)%  (.+)", line) for line in shown if "%" in line]
    samples = {row[3]: int(row[1]) for row in rows if row}
    # Half a second at 99 a second is 49; a virtual machine that is not running drops ticks.
    assert 15 <= samples["busybee"] <= 60
    total = sum(samples.values())
    for row in rows:
        assert row
        assert float(row[2]) == pytest.approx(100 * int(row[1]) / total, abs=0.06)


def test_bigalloc(built: Path) -> None:
    source = [
        "import ctypes",
        "libc = ctypes.CDLL(None)",
        "libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]",
        "def act(line): libc.free(libc.malloc(ctypes.c_size_t(int(line))))",
    ]
    with Child(*source) as child:
        child.act(1)
        with Run(f"sudo .venv/bin/python bigalloc.py {child.pid} 1000000", built) as run:
            assert run.until("Watching") == ["Watching, from 1000000 bytes on"]
            child.act(999_999)
            child.act(1_000_001)
            shown = run.until("1000001")
            run.say("5000000")
            assert run.until("from")[-1] == "from 5000000 bytes on"
            child.act(1_000_003)
            child.act(5_000_001)
            shown += run.until("5000001")
            run.say("-1")
            refused = run.until("from")
            last = run.interrupt()[-1]
    assert [line.split()[:2] for line in shown] == [
        ["1000001", str(child.pid)],
        ["5000001", str(child.pid)],
    ]
    assert refused == [
        "variable 'min_bytes': -1 does not fit __u64 (0 to 18446744073709551615)",
        "from 5000000 bytes on",
    ]
    hidden = re.fullmatch(
        r"(\d+) were smaller, <StreamStats 2 produced = 2 delivered \+ 0 lost \+ 0 pending>", last
    )
    assert hidden
    assert int(hidden[1]) >= 2
