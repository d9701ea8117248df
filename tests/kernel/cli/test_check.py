"""``skep check`` on this kernel: what loads, what fails and why, and nothing left behind."""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from needs import rounds

from skep import ObjectSpec, cli
from skep.errors import PrivilegeError, RelocationError, VerifierError
from skep.kernel import bpf
from skep.object.check import check

if TYPE_CHECKING:
    from compiling import CompileBpf

SOURCE = r"""
#include <skep/bpf.h>
char LICENSE[] SEC("license") = "GPL";

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __type(key, __u32);
    __type(value, __u64);
    __uint(max_entries, 8);
    __uint(pinning, 1);
} check_test_kept SEC(".maps");

struct task_struct {
    int pid;
    int never_was_here;
} __attribute__((preserve_access_index));

SEC("raw_tp/sys_enter") int good(struct bpf_raw_tracepoint_args *ctx) {
    struct task_struct *task = (void *)ctx->args[0];
    int pid = 0;
    bpf_core_read(&pid, sizeof(pid), &task->pid);
    return pid & 1;
}
#ifndef ONLY_GOOD
SEC("raw_tp/sys_enter") int null_pointer(void *ctx) {
    __u32 key = 0;
    __u64 *value = bpf_map_lookup_elem(&check_test_kept, &key);
    return *value & 1; /* the careless line */
}
SEC("raw_tp/sys_enter") int missing_field(struct bpf_raw_tracepoint_args *ctx) {
    struct task_struct *task = (void *)ctx->args[0];
    int value = 0;
    bpf_core_read(&value, sizeof(value), &task->never_was_here);
    return value & 1;
}
#endif
SEC("?raw_tp/sys_exit") int when_asked(void *ctx) { return 0; }
SEC("strange/name") int strange(void *ctx) { return 0; }
"""

KEPT = "/sys/fs/bpf/check_test_kept"


@pytest.fixture(scope="module")
def bad(compile_bpf: CompileBpf) -> str:
    return str(compile_bpf(SOURCE))


@pytest.fixture(scope="module")
def good(compile_bpf: CompileBpf) -> str:
    return str(compile_bpf("#define ONLY_GOOD\n" + SOURCE))


def run(*arguments: str) -> tuple[int, str, str]:
    """Run ``skep`` in this process; return its status and what it printed on both streams."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = cli.run(list(arguments))
    return status, out.getvalue(), err.getvalue()


def answer(*arguments: str) -> tuple[int, Any]:
    """Run ``skep`` and return its status and the JSON document that it prints."""
    status, out, err = run(*arguments, "--json")
    assert err == ""
    assert out.count("\n") == 1
    return status, json.loads(out)


def programs() -> list[int]:
    """Return the ids of all programs in this kernel."""
    found, last = [], bpf.next_id("prog", 0)
    while last is not None:
        found.append(last)
        last = bpf.next_id("prog", last)
    return found


def test_all_load(good: str) -> None:
    """Status 0; programs that are left out are no failure."""
    before = programs()
    status, what = answer("check", good)
    assert status == 0
    assert list(what) == ["loaded", "programs", "btf", "error"]
    assert (what["loaded"], what["error"]) == (True, None)
    assert what["btf"] == {"source": "sysfs", "path": "/sys/kernel/btf/vmlinux", "tried": []}
    keys = ["name", "loaded", "verified_instructions", "tag", "error"]
    assert all(list(program) == keys for program in what["programs"])
    first, *left_out = what["programs"]
    assert (first["name"], first["loaded"], first["error"]) == ("good", True, None)
    assert first["verified_instructions"] >= 10
    assert int(first["tag"], 16) > 0
    assert len(first["tag"]) == 16
    assert left_out == [
        {"name": name, "loaded": False, "verified_instructions": None, "tag": None, "error": None}
        for name in ("when_asked", "strange")
    ]
    assert not set(programs()) - set(before)
    assert not os.path.exists(KEPT)


def test_the_tag_is_the_kernels(good: str) -> None:
    """The same that the kernel tells of the program when it stays."""
    _, what = answer("check", good)
    spec = ObjectSpec.from_file(good)
    spec.maps["check_test_kept"].pinning = "none"
    with spec.load() as live:
        info = live.programs["good"].info
    assert what["programs"][0]["tag"] == info.tag
    assert what["programs"][0]["verified_instructions"] == info.verified_instructions


def test_some_fail(bad: str) -> None:
    """Status 1 and every failure, with program, section, source line and cause."""
    status, what = answer("check", bad)
    assert status == 1
    assert (what["loaded"], what["error"]) == (False, None)
    shown = {program["name"]: program for program in what["programs"]}
    assert [shown[name]["loaded"] for name in shown] == [True, False, False, False, False]
    for name, cause, line in (
        ("null_pointer", "map_value_or_null", "the careless line"),
        ("missing_field", "field never_was_here of struct task_struct", ".bpf.c:"),
    ):
        assert f"program {name!r} (section 'raw_tp/sys_enter')" in shown[name]["error"]
        assert cause in shown[name]["error"]
        assert line in shown[name]["error"]
        assert shown[name]["tag"] is shown[name]["verified_instructions"] is None
    assert shown["when_asked"]["error"] is shown["strange"]["error"] is None


def test_for_people(bad: str) -> None:
    """A row for each program, then each failure with the end of the verifier's log."""
    status, out, err = run("check", bad)
    assert (status, err) == (1, "")
    lines = out.splitlines()
    assert lines[0] == f"{os.path.basename(bad)}: 1 of 3 programs loaded"
    assert lines[1] == "types: the running kernel's, /sys/kernel/btf/vmlinux"
    rows = {line.split()[0]: line.split()[2:] for line in lines[3:9]}
    assert rows["PROGRAM"] == ["RESULT", "VERIFIED", "TAG"]
    assert rows["good"][0] == "loaded"
    assert int(rows["good"][1]) >= 10
    assert rows["null_pointer"] == rows["missing_field"] == ["failed"]
    assert rows["when_asked"] == rows["strange"] == ["left", "out"]
    failures = [line for line in lines[9:] if line.startswith("program ")]
    assert len(failures) == 2
    logged = [line for line in lines[9:] if line.startswith("    ")]
    assert any("invalid mem access 'map_value_or_null'" in line for line in logged)
    assert not any("processed" in line for line in logged)
    _, longer, _ = run("check", bad, "--verbose")
    assert len(longer.splitlines()) > len(lines)
    assert "processed" in longer
    _, what = answer("check", bad, "--verbose")
    logs = [program["log"] for program in what["programs"]]
    assert logs[0] is logs[3] is logs[4] is None
    assert "invalid mem access" in logs[1]


def test_report(bad: str) -> None:
    """The library's form of it, with the errors as they would have been raised."""
    report = check(ObjectSpec.from_file(bad))
    assert not report.loaded
    assert [one.word for one in report.programs] == [
        "loaded", "failed", "failed", "left out", "left out",
    ]  # fmt: skip
    assert isinstance(report.programs[1].error, VerifierError)
    assert isinstance(report.programs[2].error, RelocationError)
    assert report.programs[2].error.field == "never_was_here"
    assert report.target is not None
    assert report.target.source == "sysfs"
    asked = check(ObjectSpec.from_file(bad), programs=["when_asked", "good"])
    assert asked.loaded
    assert [one.loaded for one in asked.programs] == [True, False, False, True, False]


def test_without_types(good: str) -> None:
    """The whole object fails for one reason, which each program has and is told once."""
    status, what = answer("check", good, "--btf", "none")
    assert status == 1
    assert what["loaded"] is False
    assert "none was asked for" in what["error"]
    assert [program["error"] for program in what["programs"]] == [what["error"], None, None]
    tried = [{"path": None, "reason": "none was asked for"}]
    assert what["btf"] == {"source": "none", "path": None, "tried": tried}
    status, out, err = run("check", good, "--btf", "none")
    assert (status, err) == (1, "")
    assert out.count("none was asked for") == 1


def test_types_from_a_file(good: str) -> None:
    """What was chosen is told."""
    status, what = answer("check", good, "--btf", "/sys/kernel/btf/vmlinux")
    assert status == 0
    assert what["btf"]["source"] == "file"
    assert what["btf"]["path"] == "/sys/kernel/btf/vmlinux"
    status, out, err = run("check", good, "--btf", "/nothing/here.btf")
    assert status == 1
    assert "/nothing/here.btf" in out + err


def test_a_map_that_is_refused(compile_bpf: CompileBpf) -> None:
    source = SOURCE.replace("max_entries, 8", "max_entries, 0")
    status, what = answer("check", str(compile_bpf("#define ONLY_GOOD\n" + source)))
    assert status == 1
    assert "map 'check_test_kept'" in what["error"]
    assert what["programs"][0]["error"] == what["error"]


def test_another_byte_order(compile_bpf: CompileBpf) -> None:
    """Shown, and refused with the reason."""
    path = str(compile_bpf("#define ONLY_GOOD\n" + SOURCE, target="bpfeb"))
    status, what = answer("check", path)
    assert status == 1
    assert "big-endian" in what["error"]
    status, out, err = run("check", path)
    assert (status, err) == (1, "")
    assert out.splitlines()[0].endswith(": 0 of 1 programs loaded")


def test_without_privileges(good: str) -> None:
    """The capability is named."""
    done = subprocess.run(
        ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all", "--", sys.executable,
         "-m", "skep", "check", good, "--json"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "")
    assert "CAP_BPF" in json.loads(done.stdout)["error"]


def test_what_is_no_object(tmp_path: Path) -> None:
    """No document, and one sentence."""
    (tmp_path / "empty.o").write_bytes(b"")
    for file in (tmp_path / "empty.o", tmp_path / "nothing.o", tmp_path, Path(sys.executable)):
        status, out, err = run("check", str(file), "--json")
        assert (status, out) == (1, "")
        assert err.startswith("skep: ")
        assert err.count("\n") == 1
        assert "a bug in skep" not in err


def test_hostile(bad: str, tmp_path: Path) -> None:
    """Whatever the bytes say, the kernel or skep refuses it in words, and nothing stays."""
    data = Path(bad).read_bytes()
    odd = random.Random(11)
    broken = tmp_path / "broken.o"
    before = programs()
    documents, tries = 0, rounds(150)
    for _ in range(tries):
        changed = bytearray(data)
        for _ in range(odd.choice([1, 2, 8])):
            changed[odd.randrange(len(changed))] = odd.choice([0, 1, 27, 127, 128, 255])
        broken.write_bytes(changed)
        status, out, err = run("check", str(broken), "--json")
        assert status in {0, 1}
        assert bool(out) != bool(err)
        assert "a bug in skep" not in err
        if out:
            what = json.loads(out)
            assert what["loaded"] is (status == 0)
            documents += 1
    assert tries // 8 < documents < tries
    assert not set(programs()) - set(before)


def test_output_that_cannot_be_written(bad: str) -> None:
    """A full disk is said; a closed pipe is not, and the status is that of the pipe's reader."""
    command = [sys.executable, "-m", "skep", "check", bad]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, check=False, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr == "skep: cannot write the output: No space left on device\n"
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            command, check=False, stdout=writer, stderr=subprocess.PIPE, text=True
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_imports_little(good: str) -> None:
    """What would make it slow to start."""
    code = (
        "import sys; from skep.cli import run; run(sys.argv[1:]); "
        "print(sorted({'numpy', 'rich', 'subprocess', 'asyncio', 'skep.links.auto',"
        "'dataclasses', 'difflib'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "check", good], check=True, capture_output=True, text=True
    )
    assert done.stderr.strip() == "[]"


def test_privileges_are_an_error_of_the_whole(good: str) -> None:
    """`PrivilegeError` is what `check` keeps, not a failure of each program."""
    code = (
        "import sys; from skep import ObjectSpec; from skep.object.check import check\n"
        "report = check(ObjectSpec.from_file(sys.argv[1]))\n"
        "print(type(report.error).__name__, report.loaded, report.programs[0].word)"
    )
    done = subprocess.run(
        ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all", "--", sys.executable, "-c",
         code, good],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.split() == [PrivilegeError.__name__, "False", "failed"]
