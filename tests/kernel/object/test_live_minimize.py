"""Minimised BTF of the running kernel: the same answers, and no more bytes than bpftool's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from needs import need_program

import skep
from skep.btf import types as t
from skep.btf.btf import Btf
from skep.btf.target import find_target
from skep.object.core_values import RelocationKind
from skep.object.minimize import minimize, records
from skep.object.relocations import explain
from skep.object.spec import ObjectSpec

if TYPE_CHECKING:
    from compiling import CompileBpf

SHIPPED = sorted(Path(os.path.dirname(skep.__file__)).glob("**/*.bpf.o"))

# One question of each kind and some without an answer.
SOURCE = r"""
#include <skep/bpf.h>
char LICENSE[] SEC("license") = "GPL";

struct list_head { struct list_head *next, *prev; } SKEP_CORE;
struct mm_struct { struct { unsigned long total_vm; }; } SKEP_CORE;
struct load_weight { unsigned long weight; } SKEP_CORE;
struct sched_entity { struct load_weight load; } SKEP_CORE;
struct task_struct {
	int pid;
	char comm[16];
	unsigned int flags;
	unsigned sched_reset_on_fork:1;
	struct mm_struct *mm;
	struct sched_entity se;
	struct list_head tasks;
} SKEP_CORE;
struct task_struct___then { long state; } SKEP_CORE;
struct task_struct___else { struct list_head pid; } SKEP_CORE;
struct file { void *private_data; struct path { void *dentry; } f_path; } SKEP_CORE;
struct no_such_struct { int a; } SKEP_CORE;
enum bpf_map_type___mine { BPF_MAP_TYPE_RINGBUF___mine = 1, BPF_MAP_TYPE_NONE___mine = 99 };
typedef struct { int counter; } atomic_t___mine;
typedef int (*initcall_t)(void);
typedef void (*no_such_function_t)(int);
struct qstr___fits { const unsigned char *name; };
struct qstr___fits_not { const unsigned char *nome; };
struct hlist_head { struct hlist_node *first; };
struct hlist_node___m { struct hlist_node *next; };

volatile __u64 sink;
#define PUT(value) sink = (value)

SEC("raw_tp/sys_enter") int ask(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	PUT(BPF_CORE_READ(task, pid));
	PUT(BPF_CORE_READ(task, mm, total_vm));
	PUT(BPF_CORE_READ(task, se.load.weight));
	PUT(BPF_CORE_READ_BITFIELD_PROBED(task, sched_reset_on_fork));
	PUT(bpf_core_field_offset(struct task_struct, comm[5]));
	PUT(bpf_core_field_size(struct task_struct, comm));
	PUT(bpf_core_field_size(struct file, f_path));
	PUT(bpf_core_field_exists(struct task_struct___then, state));
	PUT(bpf_core_field_exists(struct task_struct___else, pid));
	PUT(bpf_core_field_exists(struct no_such_struct, a));
	PUT(bpf_core_type_exists(struct no_such_struct));
	PUT(bpf_core_type_exists(struct list_head));
	PUT(bpf_core_type_exists(initcall_t));
	PUT(bpf_core_type_exists(no_such_function_t));
	PUT(bpf_core_type_size(struct task_struct));
	PUT(bpf_core_type_size(atomic_t___mine));
	PUT(bpf_core_type_id_kernel(struct task_struct));
	PUT(bpf_core_type_id_local(struct task_struct));
	PUT(bpf_core_enum_value(enum bpf_map_type___mine, BPF_MAP_TYPE_RINGBUF___mine));
	PUT(bpf_core_enum_value_exists(enum bpf_map_type___mine, BPF_MAP_TYPE_NONE___mine));
	PUT(bpf_core_type_matches(struct qstr___fits));
	PUT(bpf_core_type_matches(struct qstr___fits_not));
	PUT(bpf_core_type_matches(struct hlist_head));
	PUT(bpf_core_type_matches(struct hlist_node___m));
	return 0;
}
"""


@pytest.fixture(scope="module")
def every(compile_bpf: CompileBpf) -> list[Path]:
    return [*SHIPPED, compile_bpf(SOURCE)]


def answers(spec: ObjectSpec, btf: Btf) -> list[dict[str, object]]:
    """Return the rows without the target's name, which some reasons have."""
    return [row.as_dict() for row in explain(spec, btf)]


def test_every_answer_is_the_same(every: list[Path]) -> None:
    target = find_target("sysfs")
    whole = target.require()
    specs = [ObjectSpec.from_file(path) for path in every]
    kinds = {record.kind for spec in specs for record in records(spec)}
    assert kinds == set(RelocationKind)
    together = Btf.from_bytes(minimize(specs, target), name=whole.name)
    for spec in specs:
        alone = Btf.from_bytes(minimize([spec], target), name=whole.name)
        expected = answers(spec, whole)
        assert expected
        assert answers(spec, alone) == expected, spec.name
        assert answers(spec, together) == expected, spec.name
        assert len(alone.raw) <= len(together.raw) < 10_000


def test_it_is_no_larger_than_bpftools(every: list[Path], tmp_path: Path) -> None:
    need_program("bpftool")
    from skep.btf.kernel import VMLINUX

    # bpftool 7.1 keeps nothing for the kind type_matches, and no kernel's number of a type.
    (tmp_path / "theirs.btf").touch()
    command = ["bpftool", "gen", "min_core_btf", VMLINUX, str(tmp_path / "theirs.btf")]
    subprocess.run([*command, *map(str, SHIPPED)], check=True, capture_output=True)
    theirs = Btf.from_bytes((tmp_path / "theirs.btf").read_bytes(), name="vmlinux")
    specs = [ObjectSpec.from_file(path) for path in SHIPPED]
    made = minimize(specs, find_target("sysfs"))
    assert 0 < len(made) <= len(theirs.raw)
    # What both keep, both describe alike.
    for spec in specs:
        assert answers(spec, theirs) == answers(spec, Btf.from_bytes(made, name="vmlinux"))


def test_libbpf_relocates_against_it(compile_bpf: CompileBpf, tmp_path: Path) -> None:
    """The file is plain BTF: bpftool reads it, and minimises it again to the same answers."""
    need_program("bpftool")
    path = compile_bpf(SOURCE)
    spec = ObjectSpec.from_file(path)
    small = tmp_path / "small.btf"
    small.write_bytes(minimize([spec], find_target("sysfs"), release="1.2.3"))
    shown = subprocess.run(
        ["bpftool", "btf", "dump", "file", str(small), "format", "raw"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    btf = Btf.from_bytes(small.read_bytes(), name="vmlinux")
    assert shown.count("\n[") + shown.startswith("[") == len(btf) - 1
    task = btf.find_type("task_struct", t.Kind.STRUCT)
    assert isinstance(task, t.Struct)
    assert f"STRUCT 'task_struct' size={task.size} vlen={len(task.members)}" in shown


def skep_btf_minimize(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "skep", "btf", "minimize", *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def made_for(path: Path) -> list[str]:
    return Btf.from_bytes(path.read_bytes()).strings_starting("skep: made for Linux ")


def test_the_command(compile_bpf: CompileBpf, tmp_path: Path) -> None:
    objects, out = [compile_bpf(SOURCE), SHIPPED[0]], tmp_path / "min.btf"
    done = skep_btf_minimize(*objects, "-o", out)
    assert (done.returncode, done.stderr) == (0, "")
    types = len(Btf.from_bytes(out.read_bytes())) - 1
    size = out.stat().st_size
    questions = sum(len(list(records(ObjectSpec.from_file(path)))) for path in objects)
    assert done.stdout == (
        f"{out}: {size} bytes, {types} types of /sys/kernel/btf/vmlinux; answers {questions}"
        " questions as the whole does\n"
    )
    release = os.uname().release
    assert made_for(out) == [f"skep: made for Linux {release}"]
    again = tmp_path / "again.btf"
    assert skep_btf_minimize(*objects, "--from", out, "-o", again).returncode == 0
    assert again.read_bytes() == out.read_bytes()
    assert skep_btf_minimize(*objects, "-o", out, "--release", "").returncode == 0
    assert made_for(out) == []
    other = tmp_path / "6.1.0-49-amd64.btf"
    out.rename(other)
    assert skep_btf_minimize(*objects, "--from", other, "-o", again).returncode == 0
    assert made_for(again) == ["skep: made for Linux 6.1.0-49-amd64"]
    done = skep_btf_minimize(*objects, "--from", out, "-o", again)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"skep: the BTF file {out} cannot be opened: No such file or directory\n"
    done = skep_btf_minimize("-o", again)
    assert done.returncode == 2


def test_the_command_for_every_kernel_of_a_directory(
    compile_bpf: CompileBpf, tmp_path: Path
) -> None:
    path = compile_bpf(SOURCE)
    whole = minimize([ObjectSpec.from_file(path)], find_target("sysfs"))
    names = ["debian/12/x86_64/6.1.0-49-amd64.btf", "ubuntu/22.04/x86_64/5.15.0-1.btf", "6.9.1.btf"]
    for name in names:
        (tmp_path / "hub" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "hub" / name).write_bytes(whole)
    (tmp_path / "hub/README").write_text("not a kernel")
    out = tmp_path / "prog.btf"
    done = skep_btf_minimize(path, "--from", tmp_path / "hub", "-o", f"{out}/")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == [
        str(out / name) for name in sorted(names)
    ]
    for name in names:
        release = os.path.basename(name).removesuffix(".btf")
        assert made_for(out / name) == [f"skep: made for Linux {release}"]
    done = skep_btf_minimize(path, "-o", out)
    assert done.returncode == 2
    assert "is a directory" in done.stderr
