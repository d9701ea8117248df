"""skep's headers: complete, free of warnings, at peace with other headers, and really CO-RE."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest

from skep import build
from skep.btf.btf import Btf
from skep.btf.ext import BtfExt
from skep.build import toolchain
from skep.build.compiler import INCLUDE
from skep.elf.reader import ElfFile
from skep.errors import CompileError

ROOT = Path(__file__).parents[3]
STRICT = ("-Wextra", "-Werror")
UAPI = Path("/usr/include/linux/bpf.h")
LIBBPF = Path("/usr/include/bpf/bpf_helpers.h")
COMPILERS = [
    "ziglang",
    pytest.param(
        "clang",
        marks=pytest.mark.skipif(not list(toolchain._clangs()), reason="needs clang 15 or newer"),
    ),
]

# Everything once.
WHOLE = """
char LICENSE[] SEC("license") = "GPL";
#ifndef __VMLINUX_H__
struct qstr { const unsigned char *name; } SKEP_CORE;
struct dentry { struct qstr d_name; } SKEP_CORE;
struct path { struct dentry *dentry; } SKEP_CORE;
struct file { struct path f_path; } SKEP_CORE;
struct mm_struct { struct file *exe_file; } SKEP_CORE;
struct task_struct {
    int pid, tgid;
    char comm[16];
    struct mm_struct *mm;
    struct task_struct *real_parent;
    unsigned sched_reset_on_fork : 1;
} SKEP_CORE;
#endif
enum own { OWN_FIRST = 1 };
struct event { __u32 pid, parent; char comm[16]; char name[64]; };
SKEP_RINGBUF(events, struct event, 256 * 1024);
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1024);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(pinning, LIBBPF_PIN_NONE);
    __type(key, __u32);
    __type(value, struct skep_hist);
} histograms SEC(".maps");
const volatile __u64 limit = 0;
int hits;
char text[64];

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
    struct event *event = skep_reserve(events);
    if (!event)
        return 0;
    event->pid = next->tgid;
    event->parent = BPF_CORE_READ(next, real_parent, real_parent, tgid);
    BPF_CORE_READ_INTO(&event->comm, next, comm);
    BPF_CORE_READ_STR_INTO(&event->name, next, mm, exe_file, f_path.dentry, d_name.name);
    if (limit == 7) {
        skep_discard(events, event);
        return 0;
    }
    hits += bpf_core_field_exists(next->mm) + bpf_core_field_exists(struct task_struct, mm);
    hits += bpf_core_field_size(next->comm) + bpf_core_field_offset(struct task_struct, pid);
    hits += bpf_core_type_exists(struct task_struct) + bpf_core_type_size(struct task_struct);
    hits += bpf_core_type_matches(struct task_struct);
    hits += bpf_core_type_id_kernel(struct task_struct) + bpf_core_type_id_local(struct event);
    if (bpf_core_enum_value_exists(enum own, OWN_FIRST))
        hits += bpf_core_enum_value(enum own, OWN_FIRST);
    hits += BPF_CORE_READ_BITFIELD(next, sched_reset_on_fork);
    hits += BPF_CORE_READ_BITFIELD_PROBED(prev, sched_reset_on_fork);
    skep_submit(event);
    return 0;
}

SEC("uprobe")
int BPF_UPROBE(on_entry, int a, const char *b, long c, bool d, enum own e, __u64 f)
{
    __u32 key = a;
    struct skep_hist *histogram = bpf_map_lookup_elem(&histograms, &key);
    if (histogram)
        skep_hist_add(histogram, c + d + e + f);
    bpf_printk("none");
    bpf_printk("%d %s", a, "x");
    bpf_printk("%d %d %d %d %ld", a, a, a, a, c);
    BPF_SNPRINTF(text, sizeof(text), "%d %lx", a, b);
    return PT_REGS_IP(ctx) == PT_REGS_SP(ctx) + PT_REGS_FP(ctx);
}

SEC("uretprobe")
int BPF_URETPROBE(on_return, unsigned int result) { hits += result; return 0; }
SEC("uretprobe")
int BPF_URETPROBE(on_plain_return) { return PT_REGS_SP_CORE(ctx) == 3; }
SEC("kprobe/x")
int BPF_KPROBE(on_kernel_entry, void *pointer) { return PT_REGS_PARM4_SYSCALL(ctx) + !pointer; }

SEC("tracepoint/raw_syscalls/sys_enter")
int on_enter(struct trace_event_raw_sys_enter *ctx)
{
    struct event event = {};
    hits = ctx->id;
    skep_output(events, &event, sizeof(event));
    return ctx->args[1] != 0;
}

SEC("perf_event")
int on_sample(struct bpf_perf_event_data *ctx)
{
    hits += PT_REGS_IP((struct pt_regs *) ctx);
    return bpf_ntohl(ctx->sample_period) + bpf_htons(3);
}

SEC("xdp")
int pass(struct xdp_md *ctx) { return ctx->data ? XDP_PASS : XDP_DROP; }
SEC("raw_tp/sys_enter")
int raw(struct bpf_raw_tracepoint_args *ctx) { hits += ctx->args[1]; return 0; }
"""

# A piece of what a generated vmlinux.h has: the guard, the types, the enums, the attribute.
VMLINUX = """
#ifndef __VMLINUX_H__
#define __VMLINUX_H__
#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)
typedef signed char __s8; typedef unsigned char __u8; typedef short int __s16;
typedef short unsigned int __u16; typedef int __s32; typedef unsigned int __u32;
typedef long long int __s64; typedef long long unsigned int __u64;
typedef __u8 u8; typedef __u16 u16; typedef __u32 u32; typedef __u64 u64; typedef __s64 s64;
typedef __u16 __be16; typedef __u32 __be32; typedef __u32 __wsum; typedef _Bool bool;
typedef unsigned long __kernel_ulong_t; typedef __kernel_ulong_t size_t;
enum { false = 0, true = 1 };
enum bpf_map_type {
    BPF_MAP_TYPE_HASH = 1, BPF_MAP_TYPE_PERCPU_ARRAY = 6, BPF_MAP_TYPE_RINGBUF = 27
};
enum { BPF_F_NO_PREALLOC = 1 };
enum { BPF_ANY = 0 };
enum xdp_action { XDP_DROP = 1, XDP_PASS = 2 };
struct qstr { const unsigned char *name; };
struct dentry { struct qstr d_name; };
struct path { struct dentry *dentry; };
struct file { struct path f_path; };
struct mm_struct { struct file *exe_file; };
struct task_struct {
    int pid, tgid;
    char comm[16];
    struct mm_struct *mm;
    struct task_struct *real_parent;
    unsigned sched_reset_on_fork : 1;
};
struct pt_regs {
    unsigned long bp, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, sp;
};
struct bpf_perf_event_data { struct pt_regs regs; __u64 sample_period, addr; };
struct bpf_raw_tracepoint_args { __u64 args[0]; };
struct trace_event_raw_sys_enter { long id; unsigned long args[6]; };
struct xdp_md { __u32 data; };
struct bpf_spin_lock { __u32 val; };
#pragma clang attribute pop
#endif
"""


def make(folder: Path, text: str, compiler: str = "ziglang", target: str = "bpfel") -> Path:
    """Compile *text* with every warning an error."""
    path = folder / "whole.bpf.c"
    path.write_text(text)
    (folder / "vmlinux.h").write_text(VMLINUX)
    return build.compile(path, flags=STRICT, compiler=compiler, target=target)


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("target", ["bpfel", "bpfeb"])
@pytest.mark.parametrize("first", ["", '#include "vmlinux.h"\n'])
def test_everything_compiles(tmp_path: Path, compiler: str, target: str, first: str) -> None:
    make(tmp_path, f"{first}#include <skep/bpf.h>\n{WHOLE}", compiler, target)


@pytest.mark.parametrize("standard", ["gnu99", "gnu11", "gnu23"])
def test_standards(tmp_path: Path, standard: str) -> None:
    path = tmp_path / "p.bpf.c"
    path.write_text(f"#include <skep/bpf.h>\n{WHOLE}")
    build.compile(path, flags=[f"-std={standard}", *STRICT], compiler="ziglang")


@pytest.mark.parametrize("name", sorted(path.name for path in (INCLUDE / "skep").iterdir()))
def test_each_header_stands_alone(tmp_path: Path, name: str) -> None:
    make(tmp_path, f"#include <skep/{name}>\n#include <skep/bpf.h>\nint used;\n")


def test_headers_say_their_licence() -> None:
    for path in (INCLUDE / "skep").iterdir():
        first = path.read_text().partition("\n")[0]
        assert first == "/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */", path


def test_not_for_other_targets(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="is for BPF programs"):
        make(tmp_path, "#undef __bpf__\n#include <skep/bpf.h>\n")


@pytest.mark.skipif(not UAPI.exists(), reason="needs the kernel's headers (linux-libc-dev)")
@pytest.mark.parametrize("compiler", COMPILERS)
def test_with_the_kernels_headers(tmp_path: Path, compiler: str) -> None:
    make(tmp_path, f"#include <linux/bpf.h>\n#include <skep/bpf.h>\n{WHOLE}", compiler)


LIBBPF_HEADERS = "".join(
    f"#include <bpf/bpf_{name}.h>\n" for name in ("helpers", "core_read", "tracing", "endian")
)


@pytest.mark.skipif(not LIBBPF.exists(), reason="needs libbpf's headers (libbpf-dev)")
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("order", ["libbpf only", "libbpf first", "skep first"])
def test_with_libbpfs_headers(tmp_path: Path, compiler: str, order: str) -> None:
    own = "#include <skep/bpf.h>\n"
    text = (
        '#include "vmlinux.h"\n'
        + {
            "libbpf only": LIBBPF_HEADERS,
            "libbpf first": LIBBPF_HEADERS + own,
            "skep first": own + LIBBPF_HEADERS,
        }[order]
    )
    if order == "libbpf only":
        text += (
            'char LICENSE[] SEC("license") = "GPL";\nint pid;\n'
            'SEC("tp_btf/sched_process_exit")\n'
            "int BPF_PROG(on_exit, struct task_struct *task)\n"
            "{ pid = BPF_CORE_READ(task, real_parent, tgid); return 0; }\n"
        )
    elif order == "libbpf first":
        # libbpf 1.1 names five arguments of a probe.
        text += WHOLE.replace(", __u64 f)", ")").replace(" + f)", ")")
    else:
        text += WHOLE
    path = tmp_path / "p.bpf.c"
    path.write_text(text)
    (tmp_path / "vmlinux.h").write_text(VMLINUX)
    # libbpf's own macros leave parameters unused.
    flags = ["-Wextra", "-Werror", "-Wno-unused-parameter"]
    build.compile(path, flags=flags, compiler=compiler, arch="x86_64")


@pytest.mark.skipif(not UAPI.exists(), reason="needs the kernel's headers (linux-libc-dev)")
def test_helper_numbers_are_the_kernels() -> None:
    mapper = UAPI.read_text().partition("FUNC_MAPPER(FN")[2]
    numbered = re.findall(r"FN\((\w+), (\d+),", mapper)  # since Linux 6.2
    theirs = {name: int(number) for name, number in numbered}
    if not theirs:
        theirs = {name: at for at, name in enumerate(re.findall(r"\bFN\((\w+)\)", mapper))}
    theirs.pop("unspec")
    header = (INCLUDE / "skep" / "helpers.h").read_text()
    ours = {
        name: int(number)
        for name, number in re.findall(r"bpf_(\w+)\)\([^;]*?= \(void \*\) (\d+);", header)
    }
    assert sorted(ours.values()) == list(range(1, 212))
    assert len(theirs) > 180
    theirs = {name: number for name, number in theirs.items() if name in ours or number <= 211}
    assert {name: ours.get(name) for name in theirs} == theirs


def relocations(path: Path) -> list[tuple[str, str, int]]:
    """Return type name, access string and kind of each CO-RE record, in order."""
    elf = ElfFile.from_path(path)
    types, ext = elf.section(".BTF"), elf.section(".BTF.ext")
    assert types is not None
    assert ext is not None
    btf = Btf.from_bytes(bytes(elf.data(types)))
    records = BtfExt.from_bytes(bytes(elf.data(ext)), btf).core_relocations
    return [
        (btf.type(record.type_id).name, record.access, int(record.kind))
        for section in records.values()
        for record in section
    ]


@pytest.mark.parametrize("compiler", COMPILERS)
def test_core_records(tmp_path: Path, compiler: str) -> None:
    found = relocations(make(tmp_path, f"#include <skep/bpf.h>\n{WHOLE}", compiler))
    task = "task_struct"
    assert (task, "0:4", 0) in found  # real_parent
    assert ("file", "0:0:0", 0) in found  # f_path.dentry in one step
    assert ("dentry", "0:0:0", 0) in found  # d_name.name
    assert ("bpf_perf_event_data", "0:0", 0) in found
    assert ("trace_event_raw_sys_enter", "0:1", 0) in found
    # Both machines' first argument: whether the register exists, and where it is.
    assert {("pt_regs___x86", "0:8", 2), ("pt_regs___x86", "0:8", 0)} <= set(found)
    assert ("pt_regs___arm64", "0:0:0", 0) in found
    # All 13 kinds are emitted by one macro or another.
    assert {kind for _, _, kind in found} == set(range(13))


def test_chains_have_one_record_per_arrow(tmp_path: Path) -> None:
    names = "abcdefghi"
    members = " ".join(f"struct item *{name};" for name in names)
    text = (
        f"#include <skep/bpf.h>\nstruct item {{ {members} }} SKEP_CORE;\n"
        '__u64 out;\nSEC("raw_tp/x") int BPF_PROG(p, struct item *item)\n'
        f"{{ out = (__u64) BPF_CORE_READ(item, {', '.join(names)}); return 0; }}\n"
    )
    assert relocations(make(tmp_path, text)) == [("item", f"0:{at}", 0) for at in range(9)]


def test_fixed_reads_have_none(tmp_path: Path) -> None:
    text = (
        "#include <skep/bpf.h>\nstruct item { int pad; struct item *next; };\n"
        '__u64 out;\nSEC("uprobe") int BPF_UPROBE(p, struct item *item)\n'
        "{ out = (__u64) BPF_PROBE_READ_USER(item, next, next); return 0; }\n"
    )
    assert {name for name, _, _ in relocations(make(tmp_path, text))} == {
        "pt_regs___x86",
        "pt_regs___arm64",
    }


SNIPPETS = re.findall(r"```c\n(.*?)```", (ROOT / "docs" / "writing-bpf.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_documented_snippets_compile(tmp_path: Path, number: int) -> None:
    path = tmp_path / "snippet.bpf.c"
    path.write_text(SNIPPETS[number])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build.compile(path, compiler="ziglang")


def test_there_are_snippets() -> None:
    assert len(SNIPPETS) >= 7
