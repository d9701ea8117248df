"""The objects that skep ships, compiled once and committed: every one works on this kernel.

Each is relocated against this kernel's own types (CO-RE), passes its verifier, is attached, and
yields data that this test can predict.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import skep

if TYPE_CHECKING:
    from compiling import CompileC

PACKAGE = Path(skep.__file__).parent
OBJECTS = {path.name.partition(".")[0]: path for path in PACKAGE.rglob("*.bpf.o")}
GETPPID = 110  # x86-64, arch/x86/entry/syscalls/syscall_64.tbl


def spec_of(name: str) -> skep.ObjectSpec:
    return skep.ObjectSpec.from_file(OBJECTS[name])


@pytest.mark.parametrize("name", sorted(OBJECTS))
def test_every_program_of_every_object_loads(name: str) -> None:
    spec = spec_of(name)
    for program in spec.programs.values():
        program.autoload = True
    with spec.load() as loaded:
        assert set(loaded.programs) == set(spec.programs)
        for live in loaded.programs.values():
            assert live.info.verified_instructions > 0


def test_every_object_has_a_test_here() -> None:
    tested = {name.split("_")[1] for name in globals() if name.startswith("test_")}
    assert OBJECTS.keys() <= tested


def test_execsnoop_sees_a_program_start_and_end() -> None:
    spec = spec_of("execsnoop")
    spec.variables["only_parent"] = os.getpid()
    with spec.load() as loaded, loaded.attach():
        stream = loaded.maps["events"].stream()
        child = subprocess.Popen(["/bin/false", "an argument"])
        assert child.wait() == 1
        seen: list[bytes] = []
        while len(seen) < 2:
            seen += [bytes(record) for record in stream.read_raw(10)]
        stream.close()
    start, end = seen[0], seen[1]
    head = struct.Struct("=QQIIIIiII16s16s")
    started, ended = head.unpack_from(start), head.unpack_from(end)
    assert started[2:5] == (1, child.pid, os.getpid())
    assert started[7] == len(b"/bin/false\0an argument\0")
    assert b"/bin/false\0an argument\0" in start
    assert ended[2:5] == (3, child.pid, os.getpid())
    assert os.waitstatus_to_exitcode(ended[6]) == 1
    assert ended[1] > 0


def test_runqlat_measures_waits() -> None:
    spec = spec_of("runqlat")
    spec.variables["only_tgid"] = os.getpid()
    with spec.load() as loaded, loaded.attach():
        for _ in range(20):
            subprocess.run(["/bin/true"], check=True)  # this process waits, and is woken up
        _, values = loaded.maps["total"].read()
    assert values["slots"].sum() >= 20
    assert values["sum"].sum() > 0


def test_syscount_counts_calls() -> None:
    spec = spec_of("syscount")
    spec.variables["only_tgid"] = os.getpid()
    spec.variables["measure"] = True
    with spec.load() as loaded, loaded.attach():
        for _ in range(100):
            os.getppid()
        tallies = loaded.maps["calls"].read()[1]
    calls = tallies[GETPPID]
    assert calls["count"].sum() == 100
    assert calls["errors"].sum() == 0
    assert calls["total_ns"].sum() > 0


def test_cputime_counts_the_time_of_a_name() -> None:
    code = """if True:
        import time
        open("/proc/self/comm", "w").write("skep-burns")
        while time.process_time() < 1: pass
    """
    with spec_of("cputime").load() as loaded, loaded.attach():
        subprocess.run([sys.executable, "-S", "-c", code], check=True)
        times = {name.comm: ns for name, ns in loaded.maps["by_name"].items()}
        total = sum(cpu.total for cpu in loaded.maps["cpus"][0])
    # Its time under other names, before it took this one, is not in it.
    assert 0.5e9 < times["skep-burns"] < 1.5e9
    assert sum(times.values()) <= total


C_TARGET = r"""
#include <stdio.h>
__attribute__((noinline)) int measured(int n) { __asm__ volatile(""); return n + 1; }
int main(void) { int n = 0; for (int i = 0; i < 500; i++) n = measured(n); return n != 500; }
"""


def test_funclatency_measures_calls(compile_c: CompileC) -> None:
    path = compile_c(C_TARGET, "-O1")
    with spec_of("funclatency").load() as loaded:
        entered, returned = loaded.programs["entered"], loaded.programs["returned"]
        with (
            skep.links.uprobe(returned, path, symbol="measured", retprobe=True),
            skep.links.uprobe(entered, path, symbol="measured"),
        ):
            subprocess.run([path], check=True)
        _, values = loaded.maps["latency"].read()
        assert loaded.variables["unmatched"].value == 0
    assert values["slots"].sum() == 500
    assert values["sum"].sum() > 500
