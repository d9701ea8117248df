"""What loading an object imports: that is most of the time it takes, so it is held here."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from compiling import CompileBpf

SOURCE = """
#include <skep/bpf.h>
struct task_struct { int tgid; struct task_struct *real_parent; }
__attribute__((preserve_access_index));
struct event { __u32 tgid; };
SKEP_RINGBUF(events, struct event, 4096);
const volatile __u32 wanted = 1;
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16);
    __type(key, __u32);
    __type(value, __u64);
} counts SEC(".maps");
static __noinline int parent(struct task_struct *task)
{
    return BPF_CORE_READ(task, real_parent, tgid);
}
SEC("tp_btf/sched_switch")
int BPF_PROG(look, bool preempt, struct task_struct *task)
{
    __u32 tgid = parent(task);
    struct event *event;
    if (tgid != wanted || bpf_map_lookup_elem(&counts, &tgid))
        return 0;
    event = skep_reserve(events);
    if (!event)
        return 0;
    event->tgid = tgid;
    skep_submit(event);
    return 0;
}
char LICENSE[] SEC("license") = "GPL";
"""

# All that loading takes from outside skep. errno and itertools are inside the interpreter;
# `_ctypes` stands for ctypes, see skep.kernel.native. The other costly ones that crept in before:
# enum, collections, functools, array, mmap, bisect, contextlib, importlib, warnings. Each costs
# 0.2 to 3 ms; libbpf's whole load takes 16.
OUTSIDE = {"__future__", "_ctypes", "_operator", "_struct", "errno", "itertools", "struct"}

# What only some objects, failures, or users of a loaded object need.
ON_DEMAND = {
    "skep.asm.assembler", "skep.asm.builders", "skep.asm.disassembler", "skep.asm.helpers",
    "skep.asm.items", "skep.btf.archive", "skep.btf.codec", "skep.btf.dtype",
    "skep.btf.format_c", "skep.btf.modules", "skep.btf.places", "skep.btf.writer", "skep.build",
    "skep.kernel.bpf.failure", "skep.kernel.bpf.info", "skep.kernel.bpf.links",
    "skep.kernel.capabilities", "skep.kernel.features", "skep.kernel.helpers",
    "skep.kernel.kallsyms", "skep.kernel.kconfig", "skep.kernel.late_constants",
    "skep.kernel.perf", "skep.kernel.probes", "skep.kernel.tracefs", "skep.links",
    "skep.maps.batch", "skep.maps.cells", "skep.maps.columns", "skep.maps.failure",
    "skep.object.check", "skep.object.externs", "skep.object.failure", "skep.object.minimize",
    "skep.programs.failure", "skep.programs.precheck", "skep.programs.verifier", "skep.streams",
}  # fmt: skip


def imported(code: str, *arguments: str) -> set[str]:
    """Return the modules that *code* adds to a fresh interpreter's."""
    before = "import sys; old = set(sys.modules)\n"
    after = "\nprint(*sorted(set(sys.modules) - old))"
    command = [sys.executable, "-I", "-c", before + code + after, *arguments]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


@pytest.fixture(scope="module")
def path(compile_bpf: CompileBpf) -> Path:
    """Compile an object with what objects usually have."""
    return compile_bpf(SOURCE)


def test_loading_imports_little(path: Path) -> None:
    code = "import skep; skep.ObjectSpec.from_file(sys.argv[1]).load().close()"
    found = imported(code, str(path))
    outside = {name for name in found if name.partition(".")[0] != "skep"}
    assert outside == OUTSIDE
    assert not {name for name in found for late in ON_DEMAND if f"{name}.".startswith(f"{late}.")}
    # Another module costs 0.1 to 0.3 ms. Is it needed by every object? Then raise the number.
    assert len(found - outside) <= 64


def test_parsing_asks_no_kernel(path: Path) -> None:
    code = "import skep; skep.ObjectSpec.from_file(sys.argv[1])"
    found = imported(code, str(path))
    assert not found & {"skep.btf.kernel", "skep.btf.index", "skep.object.load", "skep.object.core"}


def test_the_index_adds_one_module(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import skep; skep.ObjectSpec.from_file(sys.argv[1]).load().close()"
    without = imported(code, str(path))
    monkeypatch.setenv("SKEP_CACHE", str(tmp_path / "cache"))
    assert imported(code, str(path)) - without == {"zlib"}  # to hash the BTF, once a boot
    assert imported(code, str(path)) == without
