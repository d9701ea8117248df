"""``skep btf layout``: of the kernel's types, an object's, and of live maps."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
from contextlib import redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, Any

import pytest
from needs import need_program

import skep
from skep import cli
from skep.btf.kernel import kernel_btf
from skep.btf.layout import layout

if TYPE_CHECKING:
    from pathlib import Path

    from compiling import CompileBpf

SOURCE = """// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <skep/bpf.h>

char LICENSE[] SEC("license") = "GPL";

struct flow {
	__u32 saddr;
	__u8 proto;
};

struct counts {
	__u64 packets;
	__u64 octets;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, struct flow);
	__type(value, struct counts);
} layout_flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, struct counts);
} totals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
	__type(value, struct counts);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__uint(key_size, 6);
	__uint(value_size, 2);
} untyped SEC(".maps");

int variable = 1;
"""
GOOD = SOURCE.replace("__u8 proto", "__u32 proto")
KEY = [
    "struct flow { /* offset size */",
    "__u32 saddr; /* 0 4 */",
    "__u8 proto; /* 4 1 */",
    "/* padding */ /* 5 3 */",
    "};",
    "/* size 8, alignment 4, 1 cache line, 2 members */",
    "/* members take 5 bytes; padding of 3 bytes */",
]


def run(*arguments: object) -> tuple[int, list[str], str]:
    """Return status, lines of output with single spaces, and the error."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = cli.run(["btf", "layout", *map(str, arguments)])
    return status, [" ".join(line.split()) for line in out.getvalue().splitlines()], err.getvalue()


@pytest.fixture
def made(compile_bpf: CompileBpf) -> Path:
    return compile_bpf(SOURCE)


def test_a_type_and_a_map_of_an_object(made: Path) -> None:
    assert run("flow", made) == run("struct flow", made) == (0, KEY, "")
    status, lines, _ = run("layout_flows", made)
    assert status == 0
    assert lines[0] == "/* key of map 'layout_flows' (hash), 8 bytes */"
    assert lines[1 : 1 + len(KEY)] == KEY
    assert "/* value of map 'layout_flows' (hash), 16 bytes */" in lines
    status, lines, _ = run("totals", made)
    assert "/* value of map 'totals' (percpu_array), 16 bytes for each CPU, rounded up to 8 */" in (
        lines
    )
    assert run("untyped", made)[1] == [
        "/* key of map 'untyped' (hash), 6 bytes: no type is known */",
        "",
        "/* value of map 'untyped' (hash), 2 bytes: no type is known */",
    ]
    status, lines, _ = run(made)
    assert "/* record of map 'events' (ringbuf), 16 bytes */" in lines
    assert not any(".data" in line for line in lines)


def test_the_check_of_an_object_says_what_is_wrong_by_its_status(
    made: Path, compile_bpf: CompileBpf
) -> None:
    status, lines, err = run("--check", made)
    assert (status, err) == (1, "")
    assert lines[0].startswith("error: key of map 'layout_flows': struct flow has holes")
    assert lines[0].endswith("3 bytes at 5 [hole-in-key]")
    assert "__builtin_memset" in lines[1]
    status, lines, _ = run("--check", compile_bpf(GOOD))
    assert (status, lines) == (0, ["nothing that another reader would misread"])
    status, lines, _ = run("--check", "flow", made)  # a type that is no key may have padding
    assert (status, lines[len(KEY) + 1]) == (0, "note: struct flow has holes: 3 bytes at 5 [hole]")


def document(*arguments: object) -> Any:
    out = io.StringIO()
    with redirect_stdout(out):
        cli.run(["btf", "layout", "--json", *map(str, arguments)])
    return json.loads(out.getvalue())


def test_json(made: Path) -> None:
    found = document("layout_flows", made, "--check")
    key, value = found["layouts"]
    assert (key["of"], key["size"]) == ("key of map 'layout_flows' (hash), 8 bytes", 8)
    assert value["type_name"] == "struct counts"
    assert [row["kind"] for row in key["rows"]] == ["member", "member", "padding"]
    assert [(each["severity"], each["rule"]) for each in found["findings"]] == [
        ("error", "hole-in-key")
    ]
    assert "findings" not in document("flow", made)


def test_live_maps(made: Path, bpffs: Path) -> None:
    with skep.ObjectSpec.from_file(str(made)).load() as loaded:
        live = loaded.maps["layout_flows"]
        _, by_id, _ = run(live.id)
        assert by_id[1 : 1 + len(KEY)] == KEY
        assert by_id == run("layout_flows")[1]
        status, lines, _ = run(live.id, "--check")
        assert status == 1
        assert any("[hole-in-key]" in line for line in lines)
        path = f"{bpffs}/layout_flows"
        live.pin(path)
        try:
            assert run(path)[1] == by_id
        finally:
            os.unlink(path)


def test_what_is_not_there_has_close_names(made: Path) -> None:
    status, lines, err = run("flwo", made)
    assert (status, lines) == (1, [])
    assert err == f"skep: {made} has no type or map called 'flwo' (did you mean flow?)\n"
    assert "did you mean layout_flows?" in run("layout_flow", made)[2]
    assert "did you mean task_struct" in run("task_strukt")[2]
    assert "there is no such map" in run("4294967295")[2]
    assert "does not know how C lays out types on 'vax'" in run("flow", made, "--arch", "vax")[2]
    assert run("sched_class_of_nothing_known")[0] == 1
    assert run("")[0] == 2
    assert run(" ", made)[0] == 2


def test_what_is_no_object_is_said(tmp_path: Path) -> None:
    (tmp_path / "prog.bpf.c").write_text("int x;\n")
    status, lines, err = run(tmp_path / "prog.bpf.c")
    assert (status, lines) == (1, [])
    assert f"{tmp_path}/prog.bpf.c is a file, but no BPF object" in err
    assert f"{tmp_path} is a folder, not the pin of a map" in run(tmp_path)[2]


def test_a_map_without_types_is_not_passed_over() -> None:
    spec = skep.MapSpec(name="layout_ring", type="ringbuf", max_entries=1 << 16)
    with spec.create() as ring:
        status, lines, _ = run(ring.id)
        assert (status, len(lines)) == (0, 1)
        assert "has neither keys nor values with a type" in lines[0]
        assert "did you mean layout_ring" in run("layout_rnig")[2]


def test_types_of_the_kernel() -> None:
    status, lines, err = run("list_head")
    assert (status, err) == (0, "")
    assert lines == [
        "struct list_head { /* offset size */",
        "struct list_head *next; /* 0 8 */",
        "struct list_head *prev; /* 8 8 */",
        "};",
        "/* size 16, alignment 8, 1 cache line, 2 members */",
    ]
    assert run("list_head", "--arch", "i386")[1][-1] == (
        "/* size 8, alignment 4, 1 cache line, 2 members, on i386 */"
    )
    assert any("struct hlist_node {" in line for line in run("sock_common", "-E")[1])
    assert not any("struct hlist_node {" in line for line in run("sock_common")[1])


@pytest.mark.parametrize("name", ["task_struct", "sk_buff", "iphdr", "sock_common", "net_device"])
def test_offsets_are_those_that_pahole_prints(name: str) -> None:
    need_program("pahole")
    command = ["pahole", "-F", "btf", "-C", name, "/sys/kernel/btf/vmlinux"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    theirs = re.findall(r"(\w+)(?:\[\d+\])*(?::\d+)?; +/\* +(\d+)(?:: ?\d+)? +(\d+) \*/", text)
    assert len(theirs) >= 5
    btf = kernel_btf()
    found = layout(btf, btf.find_type(name, 4).id, expand=False)
    mine = {
        (row.name, row.bit_offset // 8, row.bit_size // 8)
        for row in found.rows
        if not row.bit_field
    }
    fields = {row.name for row in found.rows if row.bit_field}
    assert {(n, int(at), int(size)) for n, at, size in theirs if n not in fields} <= mine
    assert re.search(rf"size: {found.size},", text)


def test_every_struct_of_the_kernel_is_placed_where_it_is() -> None:
    from skep.btf.abi import abi
    from skep.btf.placement import Placer

    btf = kernel_btf()
    placer = Placer(btf, abi("x86_64"))  # as if it were another architecture
    seen = 0
    for found in btf.types():
        if found.kind in (4, 5):
            placed = placer.place(found)  # type: ignore[arg-type]
            offsets = [member.bit_offset for member in found.members]  # type: ignore[attr-defined]
            size = found.size  # type: ignore[attr-defined]
            assert (placed.size, placed.offsets) == (size, offsets), found.name
            seen += 1
    assert seen > 1000
