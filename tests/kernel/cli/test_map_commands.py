"""``skep map list|show|dump|lookup|update|delete|watch`` on live maps."""

from __future__ import annotations

import fcntl
import json
import os
import struct
import subprocess
import sys
import termios
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from map_support import ONE, PLAIN, USUAL, answer, run, sentence

from skep import Object, ObjectSpec
from skep.kernel import bpf, process
from skep.kernel.constants import MapType
from skep.kernel.cpus import possible_cpus
from skep.maps.spec import MapSpec
from skep.maps.types.queue import Queue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from compiling import CompileBpf


@pytest.fixture
def live(compile_bpf: CompileBpf) -> Iterator[Object]:
    with ObjectSpec.from_file(str(compile_bpf(USUAL))).load() as made:
        made.maps["cmd_items"][1, 80] = ONE
        made.maps["cmd_items"][2, 81] = {**ONE, "calls": 9, "comm": "two", "state": 0}
        made.maps["cmd_totals"][0] = tuple(range(1, possible_cpus() + 1))
        yield made


def listed(*arguments: str) -> dict[str, dict[str, Any]]:
    rows = answer("list", *arguments)
    return {row["name"]: row for row in rows if row["name"].startswith(("cmd_", "."))}


def test_list(live: Object, bpffs: Path) -> None:
    live.maps["cmd_items"].pin(f"{bpffs}/items")
    found = listed()
    one = found["cmd_items"]
    info = live.maps["cmd_items"].info
    assert list(one) == [
        "id", "type", "name", "key_size", "value_size", "max_entries", "flags", "frozen", "memory",
        "btf_id", "pins", "programs", "processes",
    ]  # fmt: skip
    assert (one["id"], one["type"], one["key_size"], one["value_size"]) == (info.id, "hash", 8, 48)
    assert (one["max_entries"], one["btf_id"]) == (64, info.btf_id)
    assert one["memory"] > 64 * 56
    assert one["pins"] == [f"{bpffs}/items"]
    program = live.programs["cmd_program"].info
    assert one["programs"] == [{"id": program.id, "name": "cmd_program"}]
    assert [user["pid"] for user in one["processes"]] == [os.getpid()]
    assert found[".rodata"]["frozen"] is True
    assert found[".data"]["frozen"] is False
    os.unlink(f"{bpffs}/items")
    assert listed("--fields", "name,pins")["cmd_items"] == {"name": "cmd_items", "pins": []}


def test_list_chosen(live: Object) -> None:
    id = live.maps["cmd_totals"].id
    assert list(listed("-t", "percpu_array", "-n", "cmd_*")) == ["cmd_totals"]
    assert list(listed("-t", "BPF_MAP_TYPE_QUEUE", "-n", "cmd_queue")) == ["cmd_queue"]
    assert list(listed("-f", f"id=={id}")) == ["cmd_totals"]
    assert list(listed("-f", "name~^cmd_,key_size==8")) == ["cmd_items"]
    users = listed("-f", "programs.name==cmd_program")
    assert {"cmd_items", "cmd_totals", "cmd_queue", "cmd_programs", "cmd_outer"} <= set(users)
    pid = os.getpid()
    assert set(users) <= set(listed("-f", f"processes.pid=={pid}"))
    names = [row["name"] for row in answer("list", "-n", "cmd_*", "--sort", "-key_size")]
    assert (names[0], names[-1]) == ("cmd_items", "cmd_queue")
    status, out, err = run("list", "-n", "cmd_items", "-o", "jsonl")
    assert (status, err) == (0, "")
    assert json.loads(out)["name"] == "cmd_items"


def test_list_for_people(live: Object) -> None:
    status, out, err = run("list", "-n", "cmd_*")
    assert (status, err) == (0, "")
    head, *rows = out.splitlines()
    assert head.split()[:3] == ["ID", "TYPE", "NAME"]
    named = {row.split()[2]: row for row in rows}
    assert named["cmd_items"].split()[0] == str(live.maps["cmd_items"].id)
    assert "cmd_program (" in named["cmd_items"]
    assert f"({os.getpid()})" in named["cmd_items"]
    # Columns that no row has anything in are left out, whatever the rows not asked for have.
    status, out, err = run("list", "-f", "name==cmd_queue")
    assert out.split("\n")[0].split() == [
        "ID", "TYPE", "NAME", "VALUE", "ENTRIES", "MEMORY", "PROGRAMS", "PROCESSES",
    ]  # fmt: skip
    assert run("list", "-n", "nothing_is_called_so") == (0, "", "no such map\n")
    assert answer("list", "-n", "nothing_is_called_so") == []


def test_list_while_maps_come_and_go() -> None:
    """Maps that vanish between the question and the look are left out, without a word."""
    stop = threading.Event()
    spec = MapSpec(name="cmd_brief", type=MapType.ARRAY, key_size=4, value_size=4, max_entries=1)

    def churn() -> None:
        while not stop.is_set():
            spec.create().close()

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        with spec.copy(name="cmd_stays").create():
            for _ in range(20):
                assert [row["name"] for row in answer("list", "-n", "cmd_stays")] == ["cmd_stays"]
    finally:
        stop.set()
        thread.join()


def test_thousands_of_maps() -> None:
    spec = MapSpec(name="cmd_many", type=MapType.ARRAY, key_size=4, value_size=4, max_entries=1)
    many = [spec.create() for _ in range(800)]
    try:
        ids = [row["id"] for row in answer("list", "-n", "cmd_many", "--fields", "id")]
        assert sorted(ids) == sorted(one.id for one in many)
        said = sentence("dump", "cmd_many")
        assert said.startswith("800 maps are called 'cmd_many': ids ")
        assert len(said) < 300
    finally:
        for one in many:
            one.close()


def test_show(live: Object) -> None:
    what = answer("show", "cmd_items")
    assert (what["type"], what["key_size"], what["value_size"]) == ("hash", 8, 48)
    assert what["key"]["type"] == "struct key"
    assert what["key"]["declaration"].split() == [
        "struct", "key", "{", "__u32", "pid;", "__u16", "port;", "};",
    ]  # fmt: skip
    assert (what["key"]["layout"]["size"], what["key"]["layout"]["alignment"]) == (8, 4)
    kinds = [row["kind"] for row in what["key"]["layout"]["rows"]]
    assert kinds == ["member", "member", "padding"]
    # This process has it open while it asks; that is not a user.
    assert what["processes"] == []
    status, out, err = run("show", str(live.maps["cmd_items"].id))
    assert (status, err) == (0, "")
    for text in ("map 'cmd_items': hash", "key: struct key", "__be16 service;", "padding"):
        assert text in out
    section = str(next(one.id for name, one in live.maps.items() if name == ".rodata"))
    assert answer("show", section)["value"]["declaration"] == "const volatile int cmd_conf;"


def test_dump(live: Object) -> None:
    found = sorted(answer("dump", "cmd_items"), key=lambda row: row["key"]["pid"])
    assert found[0] == {"key": {"pid": 1, "port": 80}, "value": PLAIN}
    assert (found[1]["value"]["state"], found[1]["value"]["comm"]) == ("IDLE", "two")
    assert answer("dump", "cmd_items", "-f", "comm~^t,calls>8", "--fields", "pid,at.x") == [
        {"key.pid": 2, "value.at.x": 1}
    ]
    assert [row["key"]["pid"] for row in answer("dump", "cmd_items", "--sort", "-calls")] == [2, 1]
    assert len(answer("dump", "cmd_items", "--max-entries", "1")) == 1
    status, out, err = run("dump", "cmd_items", "--sort", "pid")
    assert (status, err) == (0, "")
    assert out.splitlines()[0].split() == [
        "pid", "port", "calls", "comm", "state", "service", "mac", "at.x", "at.y",
    ]  # fmt: skip
    assert out.splitlines()[1].split() == [
        "1", "80", "7", "init", "BUSY", "443", "010203040506", "1", "-2",
    ]  # fmt: skip
    status, out, _ = run("dump", "cmd_items", "-o", "jsonl")
    assert [json.loads(line) for line in out.splitlines()] == answer("dump", "cmd_items")
    assert run("dump", "cmd_items", "-f", "pid==77") == (0, "", "no such entry\n")


def test_dump_on_a_narrow_terminal(live: Object) -> None:
    """Blocks where the table would be wrapped, a table where it fits and in a pipe."""
    command = [sys.executable, "-m", "skep", "map", "dump", "cmd_items", "--sort", "pid"]

    def on(columns: int) -> list[str]:
        leader, follower = os.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        environment = {name: word for name, word in os.environ.items() if name != "COLUMNS"}
        subprocess.run(command, check=True, stdout=follower, env=environment)
        os.close(follower)
        data = b""
        with os.fdopen(leader, "rb", buffering=0) as terminal, suppress(OSError):
            while more := terminal.read(65536):  # EIO at the end
                data += more
        return data.decode().splitlines()

    assert on(40)[:4] == ["pid      1", "port     80", "calls    7", "comm     init"]
    assert on(40)[9:11] == ["", "pid      2"]
    assert on(200)[0].split()[:3] == ["pid", "port", "calls"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == on(200)


def test_per_cpu(live: Object) -> None:
    cpus = possible_cpus()
    total = cpus * (cpus + 1) // 2
    assert answer("dump", "cmd_totals") == [{"key": 0, "value": total}, {"key": 1, "value": 0}]
    each = answer("dump", "cmd_totals", "--per-cpu", "-f", "key==0")
    assert each == [{"key": 0, "cpu": cpu, "value": cpu + 1} for cpu in range(cpus)]
    assert answer("lookup", "cmd_totals", "0") == {"key": 0, "value": total}
    assert answer("lookup", "cmd_totals", "0", "--per-cpu")["value"] == list(range(1, cpus + 1))
    assert run("update", "cmd_totals", "1", json.dumps([5] * cpus)) == (0, "", "")
    assert live.maps["cmd_totals"][1] == (5,) * cpus
    assert run("update", "cmd_totals", "1", "6", "--every-cpu") == (0, "", "")
    assert live.maps["cmd_totals"][1] == (6,) * cpus
    said = sentence("update", "cmd_totals", "1", "7")
    assert f"a value for each of {cpus} CPUs, and 7 is given" in said
    assert "--every-cpu" in said


def test_lookup_update_delete(live: Object) -> None:
    items = live.maps["cmd_items"]
    for key in ('{"pid": 1, "port": 80}', ".pid=1,.port=80", "{1, 80}", "hex:0100000050000000"):
        assert answer("lookup", "cmd_items", key)["value"] == PLAIN
    new = json.dumps({**PLAIN, "calls": 11})
    assert run("update", "cmd_items", "{3, 82}", new) == (0, "", "")
    assert items[3, 82].calls == 11
    said = sentence("update", "--new", "cmd_items", "{3, 82}", new)
    assert said == (
        "map 'cmd_items' has key {3, 82} already (leave --new out to store it in any case)"
    )
    said = sentence("update", "--existing", "cmd_items", "{4, 82}", new)
    assert said.startswith("map 'cmd_items' has no key {4, 82}, so nothing was replaced")
    assert "must have a lock" in sentence("update", "--lock", "cmd_items", "{3, 82}", new)
    assert run("delete", "cmd_items", "{3, 82}", "{2, 81}") == (0, "", "")
    assert sorted(items) == [(1, 80)]
    assert "has no key {2, 81}" in sentence("delete", "cmd_items", "{2, 81}")
    said = sentence("lookup", "cmd_items", "{9, 9}")
    assert said.startswith("map 'cmd_items' has no key {9, 9}")
    assert "09 00 00 00 09 00 00 00" in said
    status, out, err = run("delete", "cmd_items", "{9, 9}", "{9, 8}")  # says which were not there
    assert (status, out, err.count("\n")) == (1, "", 2)
    assert "no key {9, 9}" in err
    assert "no key {9, 8}" in err
    # All keys are understood before the first is removed.
    assert "70000 does not fit" in sentence("delete", "cmd_items", "{1, 80}", "{1, 70000}")
    assert sorted(items) == [(1, 80)]


def test_several_keys(live: Object) -> None:
    rows = answer("lookup", "cmd_items", "{2, 81}", "{1, 80}")
    assert [(row["key"]["pid"], row["value"]["calls"]) for row in rows] == [(2, 9), (1, 7)]
    status, out, err = run("lookup", "cmd_totals", "0", "1", "--per-cpu")
    assert (status, err) == (0, "")
    assert out.splitlines()[0].split() == ["KEY", "CPU", "VALUE"]
    assert len(out.splitlines()) == 1 + 2 * possible_cpus()
    status, out, err = run("lookup", "cmd_items", "{1, 80}", "{5, 5}", "{6, 6}")
    assert (status, out, err.count("\n")) == (1, "", 2)


def test_an_array(live: Object) -> None:
    said = sentence("update", "--every-cpu", "cmd_totals", "2", "1")
    assert said.startswith("map 'cmd_totals' has 2 entries: no index 2")
    said = sentence("delete", "cmd_totals", "1")
    assert said.startswith("map 'cmd_totals' (percpu_array): the entries of an array are always")
    assert live.maps["cmd_totals"][1] == (0,) * possible_cpus()


def test_peek(live: Object) -> None:
    assert sentence("peek", "cmd_queue") == "map 'cmd_queue' (queue) is empty"
    queue = live.maps["cmd_queue"]
    assert isinstance(queue, Queue)
    queue.extend([7, 8])
    assert run("peek", "cmd_queue") == (0, "7\n", "")
    assert answer("peek", "cmd_queue") == {"value": 7}
    assert run("peek", "cmd_queue", "--value-type", "struct bpf_spin_lock")[0] == 1
    assert [queue.pop(), queue.pop()] == [7, 8]
    assert "is neither a queue nor a stack" in sentence("peek", "cmd_items")


def test_filters_by_type(live: Object) -> None:
    for asked in ("state==BUSY", "state==5", "state>IDLE", "value.state>=5"):
        assert [row["key"]["pid"] for row in answer("dump", "cmd_items", "-f", asked)] == [1]
    said = sentence("dump", "cmd_items", "-f", "state==BUSSY", status=2)
    assert said == "--filter: value.state is never 'BUSSY'; it may be IDLE, BUSY"
    said = sentence("dump", "cmd_items", "-f", "calls>1k", status=2)
    assert said == "--filter: value.calls is a number, and '1k' is none"
    mine = process.comm(os.getpid())
    found = answer("list", "-n", "cmd_*", "-f", f"processes~^{mine} ,flags==")
    assert {"cmd_items", "cmd_totals"} <= {row["name"] for row in found}


def test_negative_numbers_are_no_options(compile_bpf: CompileBpf) -> None:
    source = USUAL.replace("__type(key, __u32); __type(value, __u64);", "__type(key, int);"
                           " __type(value, long);").replace("PERCPU_ARRAY", "HASH")  # fmt: skip
    with ObjectSpec.from_file(str(compile_bpf(source))).load() as live:
        assert run("update", "cmd_totals", "-5", "-6") == (0, "", "")
        assert live.maps["cmd_totals"][-5] == -6
        assert answer("lookup", "cmd_totals", "-5") == {"key": -5, "value": -6}
        assert run("delete", "cmd_totals", "-5") == (0, "", "")


def test_variables_of_a_section(live: Object) -> None:
    id = str(next(m for name, m in live.maps.items() if name == ".data").id)
    assert answer("dump", id) == [{"key": 0, "value": {"cmd_hello": 3}}]
    assert run("update", id, "0", '{"cmd_hello": 5}') == (0, "", "")
    assert live.variables["cmd_hello"].value == 5
    assert "takes all of its variables: cmd_hello" in sentence("update", id, "0", "5")


def test_maps_of_maps_and_programs(live: Object) -> None:
    inner = MapSpec(name="cmd_in", type=MapType.ARRAY, key_size=4, value_size=4, max_entries=1)
    with inner.create() as made:
        assert run("update", "cmd_outer", "0", f"id:{made.id}") == (0, "", "")
        assert answer("dump", "cmd_outer") == [{"key": 0, "value": made.id}]
    program = live.programs["cmd_program"].info.id
    assert run("update", "cmd_programs", "1", f"id:{program}") == (0, "", "")
    assert answer("lookup", "cmd_programs", "1") == {"key": 1, "value": program}
    assert "is id:N or the path of a pin" in sentence("update", "cmd_programs", "1", "7up")
    live.maps["cmd_programs"].clear()


def test_pins(live: Object, bpffs: Path) -> None:
    live.maps["cmd_items"].pin(f"{bpffs}/items")
    live.programs["cmd_program"].pin(f"{bpffs}/program")
    assert len(answer("dump", f"{bpffs}/items")) == 2
    said = sentence("dump", f"{bpffs}/program")
    assert said == f"{bpffs}/program is a program, not a map"
    assert "no map is pinned at" in sentence("dump", f"{bpffs}/itmes")
    for name in ("items", "program"):
        os.unlink(f"{bpffs}/{name}")


def test_without_btf() -> None:
    spec = MapSpec(name="cmd_bare", type=MapType.HASH, key_size=4, value_size=8, max_entries=4)
    with spec.create() as made:
        made[b"\1\0\0\0"] = b"\2" + bytes(7)
        assert answer("dump", "cmd_bare") == [{"key": "01000000", "value": "0200000000000000"}]
        assert answer("lookup", "cmd_bare", "01 00 00 00")["value"] == "0200000000000000"
        assert answer("lookup", "cmd_bare", "1", "--key-type", "u32", "--value-type", "__u64") == {
            "key": 1, "value": 2,
        }  # fmt: skip
        assert "the map has no BTF" in sentence("lookup", "cmd_bare", "1")
        said = sentence("dump", "cmd_bare", "--value-type", "__u32")
        assert said.startswith("map 'cmd_bare': its values are 8 bytes, and __u32 has 4")
        assert "no type 'nothing_so'" in sentence("dump", "cmd_bare", "--key-type", "nothing_so")


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("dump", "no_such_map_at_all"), 1, "no map is called 'no_such_map_at_all'"),
        (("dump", "4294967295"), 1, "there is no map with id 4294967295"),
        (("dump", "99999999999999999999"), 1, "there is no map with id 99999999999999999999"),
        (("dump", "0"), 1, "there is no map with id 0"),
        (("show", "/nowhere/at/all"), 1, "no map is pinned at /nowhere/at/all"),
        (("list", "--type", "hsah"), 2, "there is no map type 'hsah'; did you mean hash?"),
        (("list", "-f", "nix==3"), 2, "there is no field 'nix'"),
        (("list", "-f", "id"), 2, "is no condition such as"),
        (("list", "--sort", "nix"), 2, "--sort: there is no field 'nix'"),
        (("list", "--max-entries", "0"), 2, "0 is not in the range x>=1"),
        (("dump",), 2, "Missing argument 'MAP'"),
        (("lookup", "x"), 2, "Missing argument 'KEY...'"),
        (("watch", "x", "-i", "0"), 2, "0.0 is not in the range"),
        (("watch", "x", "-i", "nan"), 2, "nan is no number of seconds"),
        (("update", "x", "1", "2", "--new", "--existing"), 2, "exclude each other"),
        (("nothing",), 2, "No such command 'nothing'"),
        (("show", "/"), 1, "/ is a folder, not the pin of a map"),
        (("show", "/proc/self/exe"), 1, "is on a file system of type "),
    ],
)
def test_what_is_wrong_is_said(arguments: tuple[str, ...], status: int, said: str) -> None:
    assert said in sentence(*arguments, status=status)


def test_keyless(live: Object) -> None:
    for arguments in (("dump", "cmd_queue"), ("lookup", "cmd_queue", "0"), ("watch", "cmd_queue")):
        said = sentence(*arguments)
        assert said.startswith("map 'cmd_queue' (queue) has no keys")
        assert "pop()" in said
    assert live.maps["cmd_queue"].id == answer("show", "cmd_queue")["id"]


KINDS: list[tuple[MapType, dict[str, int]]] = [
    (MapType.HASH, {}), (MapType.ARRAY, {}), (MapType.PROG_ARRAY, {}),
    (MapType.PERF_EVENT_ARRAY, {}), (MapType.PERCPU_HASH, {}), (MapType.PERCPU_ARRAY, {}),
    (MapType.STACK_TRACE, {"value_size": 16}), (MapType.CGROUP_ARRAY, {}),
    (MapType.LRU_HASH, {}), (MapType.LRU_PERCPU_HASH, {}),
    (MapType.LPM_TRIE, {"key_size": 8, "flags": 1}), (MapType.DEVMAP, {}),
    (MapType.SOCKMAP, {}), (MapType.CPUMAP, {}), (MapType.XSKMAP, {}),
    (MapType.SOCKHASH, {"value_size": 8}), (MapType.REUSEPORT_SOCKARRAY, {"value_size": 8}),
    (MapType.QUEUE, {"key_size": 0}), (MapType.STACK, {"key_size": 0}),
    (MapType.DEVMAP_HASH, {}), (MapType.BLOOM_FILTER, {"key_size": 0}),
    (MapType.RINGBUF, {"key_size": 0, "value_size": 0, "max_entries": 4096}),
    (MapType.USER_RINGBUF, {"key_size": 0, "value_size": 0, "max_entries": 4096}),
]  # fmt: skip
COMMANDS = (
    ("show",), ("dump",), ("dump", "--json"), ("dump", "--per-cpu"), ("lookup", "KEY"),
    ("update", "KEY", "hex:" + "00" * 4), ("delete", "KEY"), ("watch", "-n", "1", "-i", "0.01"),
    ("check",),
)  # fmt: skip


@pytest.mark.parametrize(("kind", "shape"), KINDS, ids=[kind.name for kind, _ in KINDS])
def test_every_command_on_every_type(kind: MapType, shape: dict[str, int]) -> None:
    """An answer, or one sentence: whatever the type, no command meets a bug."""
    usual = {"key_size": 4, "value_size": 4, "max_entries": 2}
    with bpf.map_create(**{**usual, **shape, "type": kind}, name="cmd_kind") as fd:
        id = str(bpf.map_info(fd).id)
        key = "hex:" + "00" * shape.get("key_size", 4)
        for command, *rest in COMMANDS:
            arguments = [key if one == "KEY" else one for one in rest]
            status, out, err = run(command, id, *arguments)
            assert status in (0, 1), (command, err)
            assert "a bug in skep" not in err, (command, err)
            assert status == 0 or command == "check" or err.count("\n") == 1, (command, out, err)


OTHERS = r"""
#include <skep/bpf.h>
char LICENSE[] SEC("license") = "GPL";
struct prefix { __u32 prefixlen; __u8 data[4]; };
struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE); __uint(max_entries, 4); __uint(map_flags, 1);
    __type(key, struct prefix); __type(value, __u32);
} cmd_routes SEC(".maps");
struct {
    __uint(type, BPF_MAP_TYPE_TASK_STORAGE); __uint(map_flags, 1);
    __type(key, int); __type(value, __u64);
} cmd_tasks SEC(".maps");
"""


def test_keys_that_are_something_else(compile_bpf: CompileBpf) -> None:
    """A longest-prefix key is a network, a storage's a process."""
    with ObjectSpec.from_file(str(compile_bpf(OTHERS))).load() as live:
        assert run("update", "cmd_routes", "10.0.0.0/8", "3") == (0, "", "")
        assert answer("dump", "cmd_routes") == [{"key": "10.0.0.0/8", "value": 3}]
        assert answer("lookup", "cmd_routes", "10.1.2.3")["value"] == 3
        assert "is not an IPv4 network" in sentence("lookup", "cmd_routes", "ten")
        pid = str(os.getpid())
        assert sentence("lookup", "cmd_tasks", pid) == f"map 'cmd_tasks' has no key {pid}"
        assert run("update", "cmd_tasks", pid, "7") == (0, "", "")
        assert answer("lookup", "cmd_tasks", f"pid:{pid}") == {"key": f"pid:{pid}", "value": 7}
        assert live.maps["cmd_tasks"][os.getpid()] == 7
        assert run("delete", "cmd_tasks", pid) == (0, "", "")
        assert "cannot be walked" in sentence("dump", "cmd_tasks")
        assert "the id of a process" in sentence("lookup", "cmd_tasks", "me")


def test_watch(live: Object) -> None:
    """What changed between two looks: here all of it between the first and the second."""
    from skep.cli.map_watch import changes, snapshot
    from skep.maps.system.sides import view

    items = live.maps["cmd_items"]
    with view(bpf.fd_by_id("map", items.id)) as seen:
        before = snapshot(seen)
        items[1, 80] = {**ONE, "calls": 10, "at": (1, 8)}
        items[5, 85] = ONE
        del items[2, 81]
        now = snapshot(seen)
        found = {row["key"]["pid"]: row for row in changes(seen, before, now, None)}
        rates = {row["key"]["pid"]: row for row in changes(seen, before, now, 2.0)}
        assert list(changes(seen, now, now, None)) == []
    assert {pid: row["change"] for pid, row in found.items()} == {
        1: "changed", 2: "gone", 5: "new",
    }  # fmt: skip
    assert found[1]["delta"] == {"calls": 3, "at.y": 10}
    assert rates[1]["delta"] == {"calls": 1.5, "at.y": 5.0}
    assert found[5]["delta"]["calls"] == 7
    assert found[2]["delta"] == {}


def test_watch_runs_and_ends(live: Object) -> None:
    status, out, err = run("watch", "cmd_totals", "-i", "0.02", "-n", "3", "--json")
    assert (status, err) == (0, "")
    found = [json.loads(line) for line in out.splitlines()]
    assert [one["rows"] for one in found] == [[], [], []]
    assert all(one["seconds"] > 0.01 for one in found)
    assert live.maps["cmd_totals"].id


def test_watch_ends_with_ctrl_c(live: Object) -> None:
    """The last interval is shown, the status is 0, and nothing is on standard error."""
    command = [sys.executable, "-m", "skep", "map", "watch", "cmd_totals", "-i", "0.1", "--rate"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert "nothing changed" in child.stdout.readline()
        live.maps["cmd_totals"][1] = (4,) * possible_cpus()
        lines = [child.stdout.readline()]
        while "changed" not in lines[-1] or "nothing" in lines[-1]:
            lines.append(child.stdout.readline())
            assert lines[-1]
        child.send_signal(2)
        rest, err = child.communicate()
    assert (child.returncode, err) == (0, "")
    assert any("CHANGE" in line and "+value/s" in line for line in lines)
    assert rest


def test_a_big_map_comes_in_chunks() -> None:
    """What a pipe's reader wants is enough: the rest of the map is not even read."""
    spec = MapSpec(name="cmd_big", type=MapType.HASH, key_size=4, value_size=8, max_entries=60000)
    with spec.create() as made:
        made.update([number.to_bytes(4, "little") for number in range(50000)], [bytes(8)] * 50000)
        assert len(answer("dump", "cmd_big", "--fields", "key")) == 50000
        command = f"{sys.executable} -m skep map dump cmd_big -o jsonl | head -n 2"
        done = subprocess.run(["sh", "-c", command], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 2


def test_read_only_pin(live: Object, bpffs: Path) -> None:
    """Who may only read a pin reads it; types, ids and names need a capability, which is named."""
    items = live.maps["cmd_items"]
    bare = MapSpec(name="cmd_bare", type=MapType.ARRAY, key_size=4, value_size=4, max_entries=1)
    with bare.create() as made:
        made.pin(f"{bpffs}/bare")
    os.chmod(f"{bpffs}/bare", 0o444)
    command = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all", "--", sys.executable,
               "-m", "skep", "map"]  # fmt: skip

    def unprivileged(*arguments: str) -> tuple[int, str, str]:
        done = subprocess.run([*command, *arguments], check=False, capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    status, out, err = unprivileged("dump", f"{bpffs}/bare", "--json")
    assert (status, json.loads(out), err) == (0, [{"key": 0, "value": "00000000"}], "")
    status, out, err = unprivileged("update", f"{bpffs}/bare", "0", "hex:01000000")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert "this descriptor of it may only read" in err
    assert "chmod the pin" in err
    status, out, err = unprivileged("check", f"{bpffs}/bare", "--json")
    assert (status, err) == (1, "")
    assert "read-only" in {one["code"] for one in json.loads(out)["findings"]}
    for arguments in (("dump", "cmd_items"), ("list",), ("show", str(items.id))):
        status, out, err = unprivileged(*arguments)
        assert (status, out, err.count("\n")) == (1, "", 1)
        assert "CAP_SYS_ADMIN" in err
    status, out, err = unprivileged("check", "cmd_items", "--json")
    (one,) = json.loads(out)["findings"]
    assert (status, one["code"]) == (1, "privilege")
    assert one["evidence"]["missing"] == ["CAP_SYS_ADMIN"]
    os.unlink(f"{bpffs}/bare")
    # Types need more than a pin does: what may be read without them is.
    items.pin(f"{bpffs}/items")
    os.chmod(f"{bpffs}/items", 0o444)
    status, out, err = unprivileged("dump", f"{bpffs}/items", "--max-entries", "1", "--json")
    assert (status, len(json.loads(out)[0]["value"]), err.count("\n")) == (0, 2 * 48, 1)
    assert "shown as bytes: opening btf id" in err
    status, out, err = unprivileged("show", f"{bpffs}/items", "--json")
    assert (status, err) == (0, "")
    assert json.loads(out)["programs"] is None
    os.unlink(f"{bpffs}/items")


def test_starts_fast() -> None:
    """What would make `skep map list` slow to start is not imported."""
    code = (
        "import sys; from skep.cli import run; run(['map', 'list']); "
        "heavy = {'numpy', 'rich', 'subprocess', 'asyncio', 'dataclasses', 'logging', 'ipaddress',"
        " 'skep.btf.btf', 'skep.maps.map', 'skep.object', 'skep.maps.diagnose'};"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stderr.strip().splitlines()[-1] == "[]"
