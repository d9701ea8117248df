"""skep's headers in the running kernel: accepted by the verifier, and telling the truth."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from skep import build
from skep.build import toolchain
from skep.links import uprobe
from skep.object.spec import ObjectSpec

if TYPE_CHECKING:
    from collections.abc import Callable

COMPILERS = [
    "ziglang",
    pytest.param(
        "clang",
        marks=pytest.mark.skipif(not list(toolchain._clangs()), reason="needs clang 15 or newer"),
    ),
]

HISTOGRAM = """
#include <skep/bpf.h>
char LICENSE[] SEC("license") = "GPL";
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct skep_hist);
} histogram SEC(".maps");
__u64 input;
SEC("xdp")
int add(struct xdp_md *ctx)
{
    __u32 zero = 0;
    struct skep_hist *found = bpf_map_lookup_elem(&histogram, &zero);
    if (found)
        skep_hist_add(found, input);
    return skep_log2(input);
}
"""


@pytest.mark.parametrize("compiler", COMPILERS)
def test_histogram(compile_bpf: Callable[..., Path], compiler: str) -> None:
    values = {0, 1, 2, 3, 7, 8, 1000, 2**63, 2**64 - 1}
    values |= {2**bit for bit in range(64)} | {2**bit - 1 for bit in range(1, 64)}
    expected = [0] * 64
    with ObjectSpec.from_file(compile_bpf(HISTOGRAM, compiler=compiler)).load() as live:
        for value in sorted(values):
            live.variables["input"] = value
            slot = live.programs["add"].test_run(bytes(64)).retval
            assert slot == max(value.bit_length() - 1, 0), value
            expected[slot] += 1
        found = live.maps["histogram"][0]
    assert list(found.slots) == expected
    assert found.sum == sum(values) % 2**64


LEDGER = """
#include <skep/bpf.h>
char LICENSE[] SEC("license") = "GPL";
struct event { __u64 number; char text[24]; };
SKEP_RINGBUF(events, struct event, 4096);
__u64 number;
SEC("xdp")
int reserve(struct xdp_md *ctx)
{
    struct event *event = skep_reserve(events);
    if (!event)
        return 1;
    event->number = number;
    skep_submit(event);
    return 0;
}
SEC("xdp")
int discard(struct xdp_md *ctx)
{
    struct event *event = skep_reserve(events);
    if (!event)
        return 1;
    skep_discard(events, event);
    return 0;
}
SEC("xdp")
int output(struct xdp_md *ctx)
{
    struct event event = { .number = number };
    return skep_output(events, &event, sizeof(event)) != 0;
}
"""


@pytest.mark.parametrize("compiler", COMPILERS)
def test_ledger(compile_bpf: Callable[..., Path], compiler: str) -> None:
    # A record of 32 bytes takes 40 in the ring, of which 4096 bytes minus one byte can be used.
    room = 4095 // 40
    with ObjectSpec.from_file(compile_bpf(LEDGER, compiler=compiler)).load() as live:

        def ledger() -> tuple[int, int]:
            rows = live.maps["events_ledger"][0]
            produced = sum(row.produced for row in rows) % 2**64
            return produced, sum(row.lost for row in rows)

        def run(name: str) -> int:
            result: int = live.programs[name].test_run(bytes(64)).retval
            return result

        assert [run("discard") for _ in range(5)] == [0] * 5
        assert ledger() == (0, 0)
        taken = 5  # a discarded record keeps its place until it is read
        assert [run("reserve") for _ in range(40)] == [0] * 40
        assert [run("output") for _ in range(room - taken - 40)] == [0] * (room - taken - 40)
        sent = room - taken
        assert ledger() == (sent, 0)
        assert [run("reserve"), run("output"), run("discard")] == [1, 1, 1]
        assert ledger() == (sent + 3, 3)


LIBRARY = """
__attribute__((noinline)) long six(char a, const char *b, short c, unsigned d, long e, _Bool f)
{
    __asm__ volatile("" ::: "memory");
    return a + b[0] + c + d + e + f;
}
long calls(int n) { long sum = 0; while (n-- > 0) sum += six(1, "2", -3, 4u, -5, 1); return sum; }
"""

OBSERVER = """
#include <skep/bpf.h>
char LICENSE[] SEC("license") = "GPL";
struct mm_struct { unsigned long arg_start; } SKEP_CORE;
struct task_struct {
    unsigned int sched_reset_on_fork : 1;
    char comm[16];
    struct mm_struct *mm;
    struct task_struct *real_parent;
    int tgid;
} SKEP_CORE;
struct task_struct___none { int no_such_member; } SKEP_CORE;
struct no_such_type { int x; } SKEP_CORE;
enum bpf_map_type___local { BPF_MAP_TYPE_RINGBUF___local = 1, BPF_MAP_TYPE_NONE___local = 2 };

__u64 runs, results;
int a, c;
char b;
__u32 d, parent, reset_direct, reset_probed;
long e, result;
bool f;
__u64 sp, ip, fp, arg_start;
char comm[16], text[32];
__u32 member, type, ring, none, size, task_size;
int failed_read;

SEC("uprobe")
int BPF_UPROBE(enter, char a_, const char *b_, short c_, unsigned int d_, long e_, bool f_)
{
    struct task_struct *task = bpf_get_current_task_btf();
    struct task_struct___none *other = (void *) task;

    runs++;
    a = a_; c = c_; d = d_; e = e_; f = f_;
    bpf_probe_read_user(&b, 1, b_);
    sp = PT_REGS_SP(ctx); ip = PT_REGS_IP(ctx); fp = PT_REGS_FP(ctx);
    parent = BPF_CORE_READ(task, real_parent, tgid);
    arg_start = BPF_CORE_READ(task, mm, arg_start);
    BPF_CORE_READ_INTO(&comm, task, comm);
    reset_direct = BPF_CORE_READ_BITFIELD(task, sched_reset_on_fork);
    reset_probed = BPF_CORE_READ_BITFIELD_PROBED(task, sched_reset_on_fork);
    member = bpf_core_field_exists(other->no_such_member) ? 1 : 2;
    type = bpf_core_type_exists(struct no_such_type) ? 1 : 2;
    ring = bpf_core_enum_value(enum bpf_map_type___local, BPF_MAP_TYPE_RINGBUF___local);
    none = bpf_core_enum_value_exists(enum bpf_map_type___local, BPF_MAP_TYPE_NONE___local) ? 1 : 2;
    size = bpf_core_field_size(struct task_struct, comm);
    task_size = bpf_core_type_size(struct task_struct);
    failed_read = BPF_CORE_READ((struct task_struct *) 0, real_parent, tgid);
    BPF_SNPRINTF(text, sizeof(text), "%d and %d of %s", (int) parent, a, comm);
    return 0;
}

SEC("uretprobe")
int BPF_URETPROBE(leave, long result_)
{
    results++;
    result = result_;
    return 0;
}
"""


class Calls:
    """A library of ours, loaded into this process."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.library = ctypes.CDLL(self.path)


@pytest.fixture(scope="module", params=["full", "none"])
def calls(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Calls:
    """Build the library with endbr64 and without."""
    folder = tmp_path_factory.mktemp("calls")
    (folder / "calls.c").write_text(LIBRARY)
    flags = ["-nostdlib", "-shared", "-fPIC", "-O2", "-fno-sanitize=all"]
    if os.uname().machine == "x86_64":
        flags.append(f"-fcf-protection={request.param}")
    command = [sys.executable, "-m", "ziglang", "cc", *flags, "-o", "libcalls.so", "calls.c"]
    subprocess.run(command, cwd=folder, check=True)
    return Calls(folder / "libcalls.so")


@pytest.mark.parametrize("compiler", COMPILERS)
def test_arguments_and_kernel_memory(
    compile_bpf: Callable[..., Path], compiler: str, calls: Calls
) -> None:
    sched_reset_on_fork = 0x40000000
    before = os.sched_getscheduler(0)
    os.sched_setscheduler(0, before | sched_reset_on_fork, os.sched_param(0))
    try:
        with ObjectSpec.from_file(compile_bpf(OBSERVER, compiler=compiler)).load() as live:
            enter, leave = live.programs["enter"], live.programs["leave"]
            pid = os.getpid()
            with (
                uprobe(enter, calls.path, symbol="six", pid=pid),
                uprobe(leave, calls.path, symbol="six", pid=pid, retprobe=True),
            ):
                assert calls.library.calls(10) == 10 * (1 + ord("2") - 3 + 4 - 5 + 1)
            found = {name: live.variables[name].value for name in live.variables}
    finally:
        os.sched_setscheduler(0, before, os.sched_param(0))
    assert (found["runs"], found["results"]) == (10, 10)
    assert (found["a"], found["c"], found["d"], found["e"], found["f"]) == (1, -3, 4, -5, True)
    assert found["b"] in {ord("2"), "2", b"2"}
    assert found["result"] == 1 + ord("2") - 3 + 4 - 5 + 1
    assert found["parent"] == os.getppid()
    assert found["comm"] == Path("/proc/self/comm").read_text().strip()
    # Fields 4 (ppid) and 48 (arg_start) of proc(5)'s stat, after the name in parentheses.
    fields = Path("/proc/self/stat").read_text().rpartition(") ")[2].split()
    assert found["arg_start"] == int(fields[48 - 3])
    assert (found["reset_direct"], found["reset_probed"]) == (1, 1)
    assert (found["member"], found["type"], found["none"]) == (2, 2, 2)
    assert found["ring"] == 27
    assert found["size"] == 16
    assert found["task_size"] > 1000
    assert found["failed_read"] == 0
    assert found["text"] == f"{os.getppid()} and 1 of {found['comm']}"
    places = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    for register, name in (("ip", calls.path), ("sp", "[stack]")):
        spans = [row[0].split("-") for row in places if row[-1] == name]
        inside = [int(low, 16) <= found[register] < int(high, 16) for low, high in spans]
        assert any(inside), register


PLAIN = """
#include <skep/bpf.h>
char LICENSE[] SEC("license") = "GPL";
struct task_struct { int tgid; struct task_struct *real_parent; char comm[16]; } SKEP_CORE;
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 64);
    __type(key, __u32);
    __type(value, struct skep_hist);
} histograms SEC(".maps");
const volatile __u32 only = 0;
__u64 runs;
static __noinline int parent(struct task_struct *task)
{
    return BPF_CORE_READ(task, real_parent, tgid);
}
SEC("raw_tp/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
    __u32 key = parent(task);
    struct skep_hist *found = bpf_map_lookup_elem(&histograms, &key);
    runs++;
    if (found && (!only || only == key))
        skep_hist_add(found, key);
    return 0;
}
SEC("uprobe")
int BPF_UPROBE(on_entry, int x, long y, void *z)
{
    runs += x + y;
    bpf_printk("%d %p", x, z);
    return 0;
}
SEC("perf_event")
int on_sample(struct bpf_perf_event_data *ctx)
{
    runs += PT_REGS_IP((struct pt_regs *) ctx) + ctx->sample_period;
    return 0;
}
"""


@pytest.mark.skipif(shutil.which("bpftool") is None, reason="needs bpftool, another loader")
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("strip", [False, True])
def test_another_loader_takes_our_objects(
    tmp_path: Path, bpffs: Path, compiler: str, strip: bool
) -> None:
    source = tmp_path / "plain.bpf.c"
    source.write_text(PLAIN)
    path = build.compile(source, compiler=compiler, strip=strip)
    pins = bpffs / "programs"
    command = ["bpftool", "prog", "loadall", str(path), str(pins)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(os.listdir(pins)) == ["on_entry", "on_exit", "on_sample"]
    dump = ["bpftool", "btf", "dump", "file", str(path), "format", "c"]
    listing = subprocess.run(dump, capture_output=True, text=True, check=True).stdout
    assert "struct skep_hist {" in listing
    skeleton = ["bpftool", "gen", "skeleton", str(path)]
    header = subprocess.run(skeleton, capture_output=True, text=True, check=True).stdout
    assert "struct bpf_program *on_exit;" in header
