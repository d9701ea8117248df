"""A kernel that shows no BTF: objects load through a file made for it, or say what was tried."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import private_mounts
import pytest

from skep.btf.btf import Btf
from skep.btf.kernel import VMLINUX
from skep.btf.target import find_target
from skep.object.minimize import minimize
from skep.object.spec import ObjectSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compiling import CompileBpf

RELEASE = os.uname().release

SOURCE = r"""
#include <skep/bpf.h>
char LICENSE[] SEC("license") = "GPL";

struct signal_struct { int nr_threads; } SKEP_CORE;
struct task_struct {
	int pid;
	char comm[16];
	unsigned sched_reset_on_fork:1;
	struct signal_struct *signal;
} SKEP_CORE;
struct task_struct___then { long state; } SKEP_CORE;
enum bpf_map_type___mine { BPF_MAP_TYPE_RINGBUF___mine = 1 };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 8);
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
	put(2, bpf_core_field_exists(struct task_struct___then, state));
	put(3, bpf_core_enum_value(enum bpf_map_type___mine, BPF_MAP_TYPE_RINGBUF___mine));
	put(4, bpf_core_type_size(struct task_struct));
	put(5, BPF_CORE_READ_BITFIELD_PROBED(task, sched_reset_on_fork));
	put(6, BPF_CORE_READ(task, signal, nr_threads));
	put(7, bpf_core_type_id_kernel(struct task_struct));
	return 0;
}

SEC("?tp_btf/sched_switch") int typed(unsigned long long *ctx)
{
	return 0;
}
"""

# Loads an object as the arguments say, runs its program, and prints what it found.
SCRIPT = """
import json
from skep import ObjectSpec, SkepError
arguments = json.loads(sys.argv[1])
path = arguments.pop("path")
try:
    with ObjectSpec.from_file(path).load(**arguments) as obj:
        result = {}
        if "ask" in obj.programs:
            obj.programs["ask"].test_run()
            result["answers"] = [obj.maps["answers"][key] for key in range(8)]
        target = obj.target
        result["target"] = target and [target.source, target.path]
        result["pid"] = os.getpid()
        print(json.dumps(result))
except SkepError as error:
    print(json.dumps({"error": type(error).__name__, "text": str(error),
                      "program": getattr(error, "program", "")}))
"""


def run(path: Path, variables: dict[str, str] | None = None, **how: Any) -> dict[str, Any]:
    done = private_mounts.python(
        SCRIPT, json.dumps({"path": str(path), **how}), variables=variables
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.fixture
def path(compile_bpf: CompileBpf, tmp_path: Path) -> Path:
    return Path(shutil.copy(compile_bpf(SOURCE), tmp_path / "prog.bpf.o"))


@pytest.fixture
def expected(path: Path) -> list[int]:
    """What the program finds with the kernel's own BTF, in this process."""
    with ObjectSpec.from_file(path).load() as obj:
        obj.programs["ask"].test_run()
        return [obj.maps["answers"][key] for key in range(8)]


@pytest.fixture
def small(path: Path) -> bytes:
    return minimize([ObjectSpec.from_file(path)], find_target("sysfs"), release=RELEASE)


def same(found: dict[str, Any], expected: list[int]) -> None:
    """Compare all answers; the process and its threads are the child's own."""
    assert "answers" in found, found
    answers = found["answers"]
    assert answers[0] == found["pid"]
    assert answers[6] == 1
    assert answers[1:6] + answers[7:] == expected[1:6] + expected[7:]


@pytest.mark.parametrize("form", ["file", "shipped", "directory", "variable", "shipped directory"])
def test_through_a_minimised_file(
    path: Path, expected: list[int], small: bytes, tmp_path: Path, form: str
) -> None:
    assert 0 < len(small) < 2000
    place = {
        "shipped": tmp_path / "prog.btf",
        "directory": tmp_path / f"hub/debian/12/x86_64/{RELEASE}.btf",
        "shipped directory": tmp_path / f"prog.btf/{RELEASE}.btf",
    }.get(form, tmp_path / "min.btf")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(small)
    how = {"file": str(place), "directory": str(tmp_path / "hub")}.get(form)
    variables = {"SKEP_BTF": str(place)} if form == "variable" else {}
    found = run(path, variables, btf=how)
    same(found, expected)
    source = {"variable": "file", "shipped directory": "shipped"}.get(form, form)
    assert found["target"] == [source, str(place)]


@pytest.fixture
def boot() -> Iterator[str]:
    """The folder for kernel images, made for the test where a machine has none."""
    missing = not os.path.isdir("/boot")
    if missing:
        os.mkdir("/boot")
    yield "/boot"
    if missing:
        os.rmdir("/boot")


def test_through_an_image_in_boot(path: Path, expected: list[int], boot: str) -> None:
    """The whole BTF serves typed programs too: its type ids are the kernel's."""
    image = f"{boot}/vmlinux-{RELEASE}"
    script = f"""
with open({image!r}, "wb") as file:
    file.write(sys.stdin.buffer.read())
{SCRIPT}"""
    how = json.dumps({"path": str(path), "programs": ["ask", "typed"]})
    empty = f"{private_mounts.BTF}:{boot}"
    done = private_mounts.python(script, how, empty=empty, stdin=VMLINUX)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    same(found, expected)
    assert found["target"] == ["boot", image]


def test_without_any_btf_everything_tried_is_told(path: Path) -> None:
    found = run(path)
    assert found["error"] == "NoBtfError"
    for place in (VMLINUX, f"/boot/vmlinux-{RELEASE}", str(path.with_name("prog.btf"))):
        assert place in found["text"]
    found = run(path, btf="sysfs")
    assert found["error"] == "NoBtfError"
    assert "/boot" not in found["text"]
    assert "SKEP_BTF is none" in run(path, {"SKEP_BTF": "none"})["text"]


def test_a_wrong_variable_is_one_error(path: Path) -> None:
    found = run(path, {"SKEP_BTF": "/no/such/file"})
    assert found["error"] == "NoBtfError"
    assert "the BTF file /no/such/file named by SKEP_BTF cannot be opened" in found["text"]


def test_a_program_attached_by_type_id_needs_the_kernels_own(
    path: Path, small: bytes, tmp_path: Path
) -> None:
    (tmp_path / "prog.btf").write_bytes(small)
    found = run(path, programs=["typed"])
    assert (found["error"], found["program"]) == ("NoBtfError", "typed")
    assert "by its id in the kernel's own BTF, which no other BTF has" in found["text"]
    assert VMLINUX in found["text"]


def test_one_made_for_another_kernel_is_left_alone(path: Path, tmp_path: Path) -> None:
    other = minimize([ObjectSpec.from_file(path)], find_target("sysfs"), release="1.2.3-other")
    (tmp_path / "prog.btf").write_bytes(other)
    found = run(path)
    assert found["error"] == "NoBtfError"
    assert f"made for Linux 1.2.3-other, and this is {RELEASE}" in found["text"]
    assert "answers" in run(path, btf=str(tmp_path / "prog.btf"))  # somebody insists


def test_objects_without_relocations_need_none(compile_bpf: CompileBpf) -> None:
    path = compile_bpf(
        '#include <skep/bpf.h>\nSEC("socket") int plain(void *c) { return 1; }\n'
        'char _license[] SEC("license") = "GPL";\n'
    )
    for variables in ({}, {"SKEP_BTF": "none"}, {"SKEP_BTF": "/no/such/file"}):
        assert run(path, variables)["target"] is None
    assert len(Btf.from_bytes(minimize([ObjectSpec.from_file(path)], find_target("sysfs")))) == 1
