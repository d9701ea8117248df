"""CO-RE against the running kernel: answers checked against its BTF, and against libbpf's."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from needs import need_program

from skep.btf import types as t
from skep.btf.btf import Btf
from skep.btf.kernel import kernel_btf
from skep.btf.writer import Builder
from skep.object.spec import ObjectSpec

if TYPE_CHECKING:
    from pathlib import Path

    from compiling import CompileBpf

SOURCE = r"""
#include <skep/bpf.h>
char LICENSE[] SEC("license") = "GPL";

struct list_head { struct list_head *next, *prev; } SKEP_CORE;
struct signal_struct { int nr_threads; } SKEP_CORE;
struct mm_struct { struct { unsigned long total_vm; }; } SKEP_CORE;
struct load_weight { unsigned long weight; } SKEP_CORE;
struct sched_entity { struct load_weight load; } SKEP_CORE;
struct task_struct {
	int pid;
	char comm[16];
	unsigned int flags;
	unsigned sched_reset_on_fork:1;
	unsigned in_execve:1;
	struct mm_struct *mm;
	struct signal_struct *signal;
	struct sched_entity se;
	struct list_head tasks;
	struct task_struct *real_parent;
} SKEP_CORE;
struct task_struct___then { long state; } SKEP_CORE;
struct task_struct___now { unsigned int __state; } SKEP_CORE;
struct task_struct___resized { unsigned long long flags; unsigned short policy; } SKEP_CORE;
struct no_such_struct { int a; } SKEP_CORE;
enum bpf_map_type___mine { BPF_MAP_TYPE_RINGBUF___mine = 1, BPF_MAP_TYPE_NONE___mine = 99 };
typedef struct { int counter; } atomic_t___mine;
struct qstr___fits { const unsigned char *name; };
struct qstr___fits_not { const unsigned char *nome; };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 32);
	__type(key, __u32);
	__type(value, __s64);
} answers SEC(".maps");

static __always_inline void put(__u32 key, __s64 value)
{
	bpf_map_update_elem(&answers, &key, &value, 0);
}

SEC("raw_tp/sys_enter") int ask(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	put(0, BPF_CORE_READ(task, pid));
	put(1, bpf_core_field_offset(struct task_struct, comm));
	put(2, bpf_core_field_size(struct task_struct, comm));
	put(3, bpf_core_field_offset(struct mm_struct, total_vm));
	put(4, bpf_core_field_offset(struct task_struct, se.load.weight));
	put(5, bpf_core_field_exists(struct task_struct___then, state));
	put(6, bpf_core_field_exists(struct task_struct___now, __state));
	put(7, bpf_core_type_exists(struct no_such_struct));
	put(8, bpf_core_type_exists(struct task_struct));
	put(9, bpf_core_type_size(struct task_struct));
	put(10, bpf_core_type_id_kernel(struct task_struct));
	put(11, bpf_core_enum_value(enum bpf_map_type___mine, BPF_MAP_TYPE_RINGBUF___mine));
	put(12, bpf_core_enum_value_exists(enum bpf_map_type___mine, BPF_MAP_TYPE_NONE___mine));
	put(13, bpf_core_type_size(atomic_t___mine));
	put(14, bpf_core_type_matches(struct qstr___fits));
	put(15, bpf_core_type_matches(struct qstr___fits_not));
	put(16, bpf_core_field_offset(struct task_struct, comm[5]));
	put(17, bpf_core_type_size(struct no_such_struct));
	put(18, BPF_CORE_READ(task, signal, nr_threads));
	return 0;
}

SEC("tp_btf/sched_switch") int direct(unsigned long long *ctx)
{
	struct task_struct *task = (void *)ctx[1];
	struct task_struct___resized *other = (void *)task;

	put(20, task->pid);
	put(21, other->flags);
	put(22, other->policy);
	put(23, task->comm[2]);
	put(24, task->se.load.weight);
	put(25, task->signal->nr_threads);
	return 0;
}
"""


@pytest.fixture
def path(compile_bpf: CompileBpf) -> Path:
    return compile_bpf(SOURCE)


def member(struct: t.Type, name: str) -> t.Member:
    """Find a member, in anonymous structs and unions too; its bit offset counts from outside."""
    assert isinstance(struct, t.Composite)
    for each in struct.members:
        if each.name == name:
            return each
        if not each.name:
            try:
                found = member(struct.btf.strip(each.type_id), name)
            except KeyError:
                continue
            offset = each.bit_offset + found.bit_offset
            return t.Member(name, found.type_id, offset, found.bit_size)
    raise KeyError(name)


def test_answers_are_what_the_kernels_btf_says(path: Path) -> None:
    import os

    kernel = kernel_btf()
    task = kernel.find_type("task_struct", t.Kind.STRUCT)
    comm = member(task, "comm")
    total_vm = member(kernel.find_type("mm_struct", t.Kind.STRUCT), "total_vm")
    entity = member(task, "se")
    load = member(kernel.strip(entity.type_id), "load")
    weight = member(kernel.strip(load.type_id), "weight")
    map_types = kernel.find_type("bpf_map_type", t.Kind.ENUM)
    assert isinstance(map_types, t.Enum)
    names = {m.name for m in task.members} if isinstance(task, t.Struct) else set()
    with ObjectSpec.from_file(path).load(programs=["ask"]) as obj:
        assert obj.programs["ask"].test_run().retval == 0
        answers = [obj.maps["answers"][key] for key in range(19)]
    assert answers[0] == os.getpid()
    assert answers[18] >= 1
    assert answers[1:18] == [
        comm.bit_offset // 8,
        kernel.size_of(comm.type_id),
        total_vm.bit_offset // 8,
        (entity.bit_offset + load.bit_offset + weight.bit_offset) // 8,
        "state" in names,
        "__state" in names,
        0,
        1,
        kernel.size_of(task.id),
        task.id,
        dict(map_types.values)["BPF_MAP_TYPE_RINGBUF"],
        0,
        4,
        1,
        0,
        comm.bit_offset // 8 + 5,
        0,
    ]


def translated(program: str) -> list[str]:
    """List a loaded program as bpftool sees it, without what differs from load to load."""
    command = ["bpftool", "prog", "dump", "xlated", "id", program]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    # Map ids, tags and addresses of functions.
    return [re.sub(r"id:\d+|bpf_prog_\w+|#-?\d+", "_", line) for line in text.splitlines()]


def test_libbpf_makes_the_same_instructions(path: Path) -> None:
    need_program("bpftool", "unshare")
    # A mount namespace of its own: nothing is mounted or pinned on this machine.
    script = """
        mount -t bpf bpf /sys/fs/bpf && bpftool prog loadall "$1" /sys/fs/bpf/x || exit 1
        for program in /sys/fs/bpf/x/*; do
            echo "=== ${program##*/}"
            bpftool prog dump xlated pinned "$program"
        done
    """
    command = ["unshare", "--mount", "sh", "-c", script, "sh", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    theirs = {}
    for part in done.stdout.split("=== ")[1:]:
        name, _, text = part.partition("\n")
        theirs[name] = [re.sub(r"id:\d+|bpf_prog_\w+|#-?\d+", "_", x) for x in text.splitlines()]
    with ObjectSpec.from_file(path).load() as obj:
        ours = {name: translated(str(p.info.id)) for name, p in obj.programs.items()}
    assert sum(map(len, ours.values())) > 200
    assert ours == theirs


def test_a_given_btf_is_used_instead_of_the_kernels(compile_bpf: CompileBpf) -> None:
    source = r"""
#include <skep/bpf.h>
struct thing { int a; int b; } SKEP_CORE;
enum colour { RED = 1 };
SEC("socket") int where(struct __sk_buff *skb)
{
	return bpf_core_field_offset(struct thing, b) * 1000 + bpf_core_enum_value(enum colour, RED);
}
"""
    builder = Builder()
    int_ = builder.int("int", 4, signed=True)
    builder.struct("thing", 64, [("b", int_, 40 * 8), ("a", int_, 8)])
    builder.enum("colour", [("GREEN", 1), ("RED", 7)])
    spec = ObjectSpec.from_file(compile_bpf(source))
    for _ in range(2):  # the spec stays as it is
        with spec.load(btf=Btf.from_bytes(builder.build(), name="given")) as obj:
            assert obj.programs["where"].test_run().retval == 40 * 1000 + 7
