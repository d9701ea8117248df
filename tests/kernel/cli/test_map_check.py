"""``skep map check``: every reason for a misread, provoked for real."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from map_support import ONE, SOURCE, USUAL, answer, run, sentence
from needs import need_program
from private_mounts import python

from skep import Object, ObjectSpec
from skep.errors import KernelError
from skep.kernel import bpf
from skep.kernel.constants import MapFlags, MapType
from skep.kernel.cpus import possible_cpus
from skep.maps.diagnose import INSTEAD, REASONS, has_lookup
from skep.maps.map import Map
from skep.maps.spec import MapSpec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from compiling import CompileBpf


@pytest.fixture(scope="module")
def usual(compile_bpf: CompileBpf) -> str:
    return str(compile_bpf(USUAL))


@pytest.fixture
def live(usual: str) -> Iterator[Object]:
    with ObjectSpec.from_file(usual).load() as made:
        made.maps["cmd_items"][1, 80] = ONE
        yield made


def findings(*arguments: str, status: int = 1) -> dict[str, dict[str, Any]]:
    """Run ``skep map check`` and return what it found, by code (the last of each)."""
    got, out, err = run("check", *arguments, "--json")
    assert err == ""
    assert out.count("\n") == 1
    found = json.loads(out)
    assert got == status
    assert found["fine"] is (status == 0)
    assert all(one["level"] == REASONS[one["code"]].level for one in found["findings"])
    assert all(one["hint"] for one in found["findings"])
    return {one["code"]: one for one in found["findings"]}


def script(code: str, *command: str) -> str:
    """Run Python code under *command* and return what it prints."""
    whole = [*command, sys.executable, "-c", code]
    done = subprocess.run(whole, check=True, capture_output=True, text=True)
    return done.stdout


def test_fine(live: Object, usual: str) -> None:
    assert set(findings("cmd_items", status=0)) == {"word-size"}
    assert set(findings("cmd_items", "--object", usual, status=0)) == {"word-size"}
    assert set(findings("cmd_items", "--type", "struct value", status=0)) == {"word-size"}
    what = answer("check", "cmd_items")["map"]
    info = live.maps["cmd_items"].info
    assert what == {
        "id": info.id, "type": "hash", "name": "cmd_items", "key_size": 8, "value_size": 48,
        "key_type": "struct key", "value_type": "struct value",
    }  # fmt: skip
    status, out, err = run("check", str(info.id))
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"map 'cmd_items' (hash, id {info.id}): nothing wrong found, 1 note"
    assert lines[1] == "key struct key (8 bytes), value struct value (48 bytes)"
    assert lines[3].startswith("note: value struct value has 48 bytes here and 44 in 32-bit")
    assert len(lines) == 5
    assert len(run("check", str(info.id), "--verbose")[1].splitlines()) > 10


def test_gone() -> None:
    spec = MapSpec(name="cmd_gone", type=MapType.ARRAY, key_size=4, value_size=4, max_entries=1)
    with spec.create() as made:
        id = made.id
    found = findings(str(id))
    assert found["gone"]["text"] == f"there is no map with id {id}"
    assert "cmd_gone" in findings("cmd_gone")["gone"]["text"]
    status, out, err = run("check", "cmd_gone")
    assert (status, err) == (1, "")
    assert out.startswith("cmd_gone: 1 finding\n\nwrong: no map is called 'cmd_gone' [gone]\n  -> ")


def test_ambiguous() -> None:
    spec = MapSpec(name="cmd_twice", type=MapType.ARRAY, key_size=4, value_size=4, max_entries=1)
    with spec.create() as one, spec.create() as other:
        found = findings("cmd_twice")["ambiguous"]
        assert found["evidence"]["ids"] == [one.id, other.id]


def test_another_map_under_the_id(live: Object, usual: str) -> None:
    """What an id that was written down means by now."""
    other = str(live.maps["cmd_totals"].id)
    found = findings(other, "--object", usual, "--map", "cmd_items")
    assert (
        "is 'cmd_totals' (percpu_array, 4 and 8 bytes), not 'cmd_items'" in found["reused"]["text"]
    )
    assert "no map 'cmd_itmes'" in sentence(
        "check", other, "--object", usual, "--map", "cmd_itmes", status=2
    )
    assert "--map needs --object" in sentence("check", other, "--map", "cmd_items", status=2)


def test_every_difference_to_the_object(live: Object, compile_bpf: CompileBpf) -> None:
    assert live
    source = SOURCE.replace("ENTRIES", "128").replace("TOTALS", "BPF_MAP_TYPE_ARRAY")
    source = source.replace("__u16 port; };", "__u16 port; } __attribute__((packed));")
    source = source.replace("__be16 service", "__u16 service").replace("int x, y", "unsigned y, x")
    other = str(compile_bpf(source))
    _, out, _ = run("check", "cmd_items", "--object", other, "--json")
    texts = [one["text"] for one in json.loads(out)["findings"] if one["level"] == "wrong"]
    assert texts[0] == "its key size is 8, the object's map 'cmd_items' has 6"
    assert texts[1] == "its max_entries is 64, the object's map 'cmd_items' has 128"
    assert texts[2] == "value service: the map's type says big-endian, the object little-endian"
    assert texts[3].startswith("its values, struct value, lie otherwise in the object: ")
    assert "at.x is at byte 36, in the object at byte 40" in texts[3]
    assert len(texts) == 4
    first = json.loads(out)["findings"][0]
    assert (
        first["hint"] == "the object's is packed and the map's is not: declare both packed, or none"
    )
    assert any("(padding)" in line and line.startswith("!") for line in first["lines"])
    found = findings("cmd_totals", "--object", other)
    assert found["per-cpu"]["text"] == (
        "the map has a value for each CPU, the object expects one value for a key"
    )
    assert (
        "its type is percpu_array, the object's map 'cmd_totals' has array"
        in (found["object"]["text"])
    )


def test_a_type_of_another_size(live: Object, compile_bpf: CompileBpf) -> None:
    found = findings("cmd_items", "--type", "__u64")
    assert found["size"]["text"] == "its values are struct value, 48 bytes, and __u64 has 8"
    assert any("__u64 calls" in line for line in found["size"]["lines"])
    assert findings("cmd_items", "--key-type", "u32")["size"]["evidence"] == {
        "role": "key", "expected": 8, "given": 4,
    }  # fmt: skip
    source = f"struct every {{ __u64 cpu[{possible_cpus()}]; }};"
    other = str(compile_bpf(f"#include <skep/bpf.h>\n{source}\nstruct every every;"))
    found = findings("cmd_totals", "--type", "struct every", "--object", other)
    assert "as large as all" in found["size"]["hint"]
    assert live
    said = sentence("check", "cmd_items", "--type", "struct nothing_so")
    assert said.startswith("no type 'struct nothing_so' in ")


def test_layout_and_byte_order_of_a_type(live: Object, compile_bpf: CompileBpf) -> None:
    source = r"""
#include <skep/bpf.h>
struct other {
    __u64 calls; char comm[16]; int state; __u16 service; __u8 mac[6]; struct { int y, x; } at;
};
struct {
    __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 64);
    __type(key, __u64); __type(value, struct other);
} cmd_items SEC(".maps");
"""
    other = str(compile_bpf(source))
    assert live
    found = findings("cmd_items", "--type", "struct other", "--object", other)
    assert "state is unsigned, in the type given signed" in found["layout"]["text"]
    assert found["byte-order"]["evidence"] == {"role": "value", "field": "service"}


def test_padding_of_keys(live: Object) -> None:
    items = live.maps["cmd_items"]
    for key in ("0100000050000100", "0900000009000001"):
        bpf.map_update(items.fd, bytes.fromhex(key), bytes(48))
    found = findings("cmd_items")["key-padding"]
    assert found["evidence"]["count"] == 2
    assert found["evidence"]["entries"] == 3
    assert found["evidence"]["twins"] == 2
    assert sorted(found["evidence"]["keys"]) == ["0100000050000100", "0900000009000001"]
    assert "bytes 6-7" in found["text"]
    assert any("struct key {.pid = 9, .port = 9}" in line for line in found["lines"])


def numbers(values: list[int], declared: str, compile_bpf: CompileBpf) -> dict[str, Any]:
    """Store *values* in network order in a member that is *declared* so; check."""
    source = (
        f"#include <skep/bpf.h>\nstruct holder {{ {declared}; }};\nstruct {{ __uint(type,"
        " BPF_MAP_TYPE_HASH); __uint(max_entries, 64); __type(key, __u32);"
        ' __type(value, struct holder); } cmd_numbers SEC(".maps");'
    )
    with ObjectSpec.from_file(str(compile_bpf(source))).load() as made:
        numbers = made.maps["cmd_numbers"]
        size = numbers.spec.value_size
        for key, value in enumerate(values):
            bpf.map_update(numbers.fd, key.to_bytes(4, "little"), value.to_bytes(size, "big"))
        _, out, err = run("check", "cmd_numbers", "--json")
    assert err == ""
    return {one["code"]: one for one in json.loads(out)["findings"]}


@pytest.mark.parametrize(
    ("values", "declared", "code"),
    [
        ([22, 80, 443, 8080], "__u16 service", "looks-swapped"),
        ([22, 80, 443, 8080], "__be16 service", ""),
        ([1, 2, 300, 70000], "__u32 length", "looks-swapped"),
        ([1, 2, 300, 70000], "__u64 length", "looks-swapped"),
        ([22, 80], "__u16 service", ""),  # too few to guess
        ([22, 80], "__u16 dport", "network-name"),
        ([0x16000000, 0x50000000, 0x01020000], "__u32 length", ""),  # fine as declared
        ([0x1600, 0x5000, 0xBB01], "__be16 service", "looks-swapped"),  # stored little-endian
        ([0x12345678, 0x9ABCDEF1, 0x55AA1234, 0x0FF1CE99], "__u32 hash", ""),
    ],
)
def test_byte_order_is_guessed(
    values: list[int], declared: str, code: str, compile_bpf: CompileBpf
) -> None:
    found = numbers(values, declared, compile_bpf)
    assert {"looks-swapped", "network-name"} & set(found) == ({code} if code else set())
    if code == "looks-swapped":
        assert found[code]["level"] == "guess"
        assert "a heuristic" in found[code]["text"]


def test_word_size_and_packed(compile_bpf: CompileBpf) -> None:
    source = (
        "#include <skep/bpf.h>\nstruct holder { long count; char c; } __attribute__((packed));\n"
        "struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 4); __type(key, __u32);"
        ' __type(value, struct holder); } cmd_words SEC(".maps");'
    )
    with ObjectSpec.from_file(str(compile_bpf(source))).load():
        found = findings("cmd_words", status=0)
    assert found["word-size"]["text"] == (
        "value struct holder has 9 bytes here and 5 in 32-bit programs (arm)"
    )
    assert "packed" in found


def test_no_btf_and_flags() -> None:
    spec = MapSpec(
        name="cmd_bare", type=MapType.ARRAY, key_size=4, value_size=8, max_entries=3,
        flags=int(MapFlags.RDONLY_PROG),
    )  # fmt: skip
    with spec.create() as made:
        made.freeze()
        found = findings("cmd_bare")
        assert set(found) == {"no-btf", "frozen", "read-only", "zeros"}
        assert "3 of 3 values are zero" in found["zeros"]["text"]
        assert set(findings("cmd_bare", "--type", "__u64", status=0)) == {
            "frozen", "read-only", "zeros",
        }  # fmt: skip


def test_descriptors_that_may_not(bpffs: Path) -> None:
    """From Python, of a map that was opened so: it is the descriptor's, not the map's."""
    from skep.maps.diagnose import check
    from skep.maps.system.sides import view

    spec = MapSpec(name="cmd_modes", type=MapType.ARRAY, key_size=4, value_size=8, max_entries=1)
    with spec.create() as made:
        made.pin(f"{bpffs}/modes")
        for flags, code in ((MapFlags.RDONLY, "read-only"), (MapFlags.WRONLY, "write-only")):
            with view(bpf.obj_get(f"{bpffs}/modes", flags=flags)) as seen:
                found = {one.code: one for one in check(seen, path=f"{bpffs}/modes")}
            assert f"the pin {bpffs}/modes may only" in found[code].text
            assert ("unreadable" in found) is (code == "write-only")
        os.unlink(f"{bpffs}/modes")


def test_types_without_lookup(live: Object) -> None:
    found = findings("cmd_queue")
    assert set(found) == {"no-lookup"}
    assert found["no-lookup"]["text"] == "a queue map has no lookup by key from user space"
    assert "pop()" in found["no-lookup"]["hint"]
    assert live


KEYED = {"type": 0, "key_size": 4, "value_size": 4, "max_entries": 1}
NO_LOOKUP: tuple[tuple[MapType, dict[str, int]], ...] = (
    (MapType.QUEUE, {"key_size": 0}), (MapType.STACK, {"key_size": 0}),
    (MapType.BLOOM_FILTER, {"key_size": 0}), (MapType.PERF_EVENT_ARRAY, {}),
    (MapType.CGROUP_ARRAY, {}), (MapType.XSKMAP, {}), (MapType.SOCKMAP, {}),
    (MapType.SOCKHASH, {}), (MapType.REUSEPORT_SOCKARRAY, {}),
    (MapType.RINGBUF, {"key_size": 0, "value_size": 0, "max_entries": 4096}),
    (MapType.USER_RINGBUF, {"key_size": 0, "value_size": 0, "max_entries": 4096}),
)  # fmt: skip


@pytest.mark.parametrize(("kind", "shape"), NO_LOOKUP, ids=[kind.name for kind, _ in NO_LOOKUP])
def test_what_is_said_of_a_type_is_true(kind: MapType, shape: dict[str, int]) -> None:
    """A lookup by key really fails, or finds nothing, in each type that the table says so of."""
    with bpf.map_create(**{**KEYED, **shape, "type": kind}, name="cmd_kind") as fd:
        assert not has_lookup(kind, shape.get("value_size", 4))
        assert INSTEAD[kind]
        found = findings(str(bpf.map_info(fd).id))
        assert found["no-lookup"]["hint"] == INSTEAD[kind]
        size = shape.get("key_size", 4)
        try:
            there = bool(size) and bpf.map_lookup(fd, bytes(size), bytearray(4))
        except KernelError:
            there = False
        assert not there


def test_places(live: Object, bpffs: Path, tmp_path: Path) -> None:
    found = findings(f"{tmp_path}/map")
    assert "not on a bpf file system" in found["not-bpffs"]["text"]
    assert "no map is pinned at" in findings(f"{bpffs}/map")["gone"]["text"]
    live.programs["cmd_program"].pin(f"{bpffs}/program")
    assert "is a program, not a map" in findings(f"{bpffs}/program")["gone"]["text"]
    os.unlink(f"{bpffs}/program")


def test_a_pin_of_another_mount_namespace(tmp_path: Path) -> None:
    """A child mounts a bpf file system that nobody else sees, and asks from the parent's side."""
    need_program("nsenter")
    code = """
import json, subprocess
from skep.maps.spec import MapSpec
folder, parent = sys.argv[1:]
call("mount", b"bpf", os.fsencode(folder), b"bpf", ctypes.c_ulong(0), None)
with MapSpec(name="cmd_hidden", type=2, key_size=4, value_size=4, max_entries=1).create() as made:
    made.pin(folder + "/hidden")
command = [sys.executable, "-m", "skep", "map", "check", folder + "/hidden", "--json"]
inside = subprocess.run(command, capture_output=True, text=True)
outside = subprocess.run(["nsenter", "-t", parent, "-m", *command], capture_output=True, text=True)
print(json.dumps([os.getpid(), inside.stdout, outside.stdout, outside.stderr]))
"""
    done = python(code, str(tmp_path), str(os.getpid()), empty="")
    assert done.returncode == 0, done.stderr
    pid, inside, outside, err = json.loads(done.stdout)
    assert err == ""
    assert json.loads(inside)["map"]["name"] == "cmd_hidden"
    found = {one["code"]: one for one in json.loads(outside)["findings"]}
    assert found["namespace"]["evidence"]["pid"] == pid
    assert f"nsenter -t {pid} -m" in found["namespace"]["hint"]
    assert "not-bpffs" in found


def test_pid_namespace(live: Object) -> None:
    need_program("unshare")
    done = subprocess.run(
        ["unshare", "-p", "-f", "--mount-proc", sys.executable, "-m", "skep", "map", "check",
         str(live.maps["cmd_items"].id), "--json"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert "pid-namespace" in {one["code"] for one in json.loads(done.stdout)["findings"]}


def test_interfaces_of_another_network_namespace() -> None:
    """A device map filled in one network namespace, checked in another."""
    need_program("unshare", "ip")
    code = """
import json, os, subprocess, sys
subprocess.run(["ip", "link", "add", "skep0", "type", "veth", "peer", "name", "skep1"], check=True)
import socket
from skep.kernel import bpf
from skep.maps.spec import MapSpec
index = socket.if_nametoindex("skep0")
with MapSpec(name="cmd_devices", type=14, key_size=4, value_size=4, max_entries=2).create() as made:
    bpf.map_update(made.fd, bytes(4), index.to_bytes(4, sys.byteorder))
    command = [sys.executable, "-m", "skep", "map", "check", str(made.id), "--json"]
    here = subprocess.run(command, capture_output=True, text=True).stdout
    there = subprocess.run(["unshare", "-n", *command], capture_output=True, text=True).stdout
print(json.dumps([index, here, there]))
"""
    index, here, there = json.loads(script(code, "unshare", "-n"))
    assert "ifindex" not in {one["code"] for one in json.loads(here)["findings"]}
    found = {one["code"]: one for one in json.loads(there)["findings"]}
    assert found["ifindex"]["evidence"] == {"ifindex": index}


def test_from_python(live: Object) -> None:
    """The findings as objects, of a map that is open anyway."""
    from skep.maps.diagnose import Finding, check
    from skep.maps.system.sides import view

    with view(bpf.fd_by_id("map", live.maps["cmd_totals"].id)) as seen:
        found = check(seen)
    assert [one.code for one in found] == ["zeros", "cpus"]
    assert all(isinstance(one, Finding) for one in found)
    assert repr(found[1]).startswith("<Finding cpus (note): a lookup gives ")
    assert isinstance(seen.map, Map)
