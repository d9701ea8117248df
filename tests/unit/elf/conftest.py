"""Files for the ELF tests: a BPF object in both byte orders and a shared library."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OBJECT = """
#include <skep/bpf.h>
char LICENSE[] SEC("license") = "GPL";
struct task_struct { int pid; struct task_struct *real_parent; } SKEP_CORE;
struct event { __u32 pid; };
SKEP_RINGBUF(events, struct event, 4096);
const volatile __u32 only = 0;
int seen;
static __noinline int parent(struct task_struct *task)
{
    return BPF_CORE_READ(task, real_parent, pid);
}
SEC("raw_tp/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
    struct event *event;
    if (only && parent(task) != (int) only)
        return 0;
    event = skep_reserve(events);
    if (!event)
        return 0;
    event->pid = BPF_CORE_READ(task, pid);
    seen++;
    skep_submit(event);
    return 0;
}
"""

LIBRARY = """
#define EXPORT __attribute__((visibility("default")))
EXPORT int counted(int x) { return x + 1; }
static __attribute__((noinline, used)) int twin(int x) { return x + 2; }
EXPORT __attribute__((weak)) int weak_one(int x) { return twin(x); }
static int real(int x) { return x; }
static void *choose(void) { return (void *) real; }
EXPORT int chosen(int) __attribute__((ifunc("choose")));
extern int imported(int);
EXPORT int uses(int x) { return imported(x) + counted(x); }
int old_one(int x) { return x + 3; }
int new_one(int x) { return x + 4; }
__asm__(".symver old_one, versioned@V_1");
__asm__(".symver new_one, versioned@@V_2");
"""

OTHER = """
static __attribute__((noinline, used)) int twin(int x) { return x * 5; }
__attribute__((visibility("default"))) int other(int x) { return twin(x); }
"""

VERSIONS = """
V_1 { global: counted; weak_one; chosen; uses; other; versioned; local: *; };
V_2 { global: versioned; } V_1;
"""


@pytest.fixture(scope="session")
def bpf_source() -> str:
    return OBJECT


@pytest.fixture(scope="session", params=["bpfel", "bpfeb"])
def bpf_object(request: pytest.FixtureRequest, compile_bpf: Callable[..., Path]) -> Path:
    return compile_bpf(OBJECT, target=request.param)


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An x86-64 library with endbr64, versions, an IFUNC, two local functions of one name.

    libstripped.so beside it is the same without .symtab.
    """
    folder = tmp_path_factory.mktemp("library")
    (folder / "one.c").write_text(LIBRARY)
    (folder / "two.c").write_text(OTHER)
    (folder / "versions").write_text(VERSIONS)
    output = folder / "libspecimen.so"
    flags = ["-target", "x86_64-linux-gnu", "-nostdlib", "-shared", "-fPIC", "-O2", "-g0"]
    flags += ["-fcf-protection=full", "-fno-sanitize=all", "-Wl,--build-id=sha1", "-Wl,-z,undefs"]
    flags += ["-Wl,--version-script=versions", "one.c", "two.c"]
    for more in ([], ["-Wl,--strip-all"]):
        name = "libstripped.so" if more else output.name
        command = [sys.executable, "-m", "ziglang", "cc", *flags, *more, "-o", name]
        subprocess.run(command, cwd=folder, check=True)
    return output
