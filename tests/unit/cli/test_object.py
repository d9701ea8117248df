"""``skep object``: what it says about good objects and bad ones. No kernel is asked."""

from __future__ import annotations

import io
import json
import os
import pty
import random
import re
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from skep import cli

if TYPE_CHECKING:
    from compiling import CompileBpf

SOURCE = r"""
#include <skep/bpf.h>
char LICENSE[] SEC("license") = "Dual MIT/GPL";

struct pair { int a; char name[12]; };
enum colour { RED, GREEN };

const volatile unsigned int limit = 7;
volatile char title[16] = "x";
const char *volatile where;
struct pair pairs[3][2];
enum colour colour;
int (*volatile callback)(void *context, char c);
static volatile long hits;

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __type(key, __u32);
    __type(value, struct pair);
    __uint(max_entries, 64);
    __uint(map_flags, BPF_F_NO_COMMON_LRU);
    __uint(pinning, 1);
} kept SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
    __uint(key_size, 4);
    __uint(value_size, 4);
} events SEC(".maps");

struct thing { int here; } __attribute__((preserve_access_index));

__attribute__((noinline)) static int twice(struct thing *thing) {
    return thing->here * 2 + limit + title[0] + colour + pairs[1][1].a + !where + !callback;
}

SEC("?fentry.s/do_x")
int left_out(struct thing *thing) { hits++; return twice(thing); }

SEC("xdp.frags")
int packet(void *ctx) { __u32 key = 0; return !!bpf_map_lookup_elem(&kept, &key); }

SEC("cgroup_skb/ingress") int ingress(void *ctx) { return 1; }
SEC("kprobe/do_y") int probe(void *ctx) { return 0; }
SEC("raw_tp/sys_enter") int raw(struct thing *thing) {
    return bpf_core_field_exists(thing->here) + bpf_core_type_size(struct thing);
}
SEC("strange/name") int strange(void *ctx) { return 0; }
"""

PROGRAMS = [
    # name, section, type, attach type, attach to, flags
    ("left_out", "?fentry.s/do_x", "tracing", "trace_fentry", "do_x", 16),
    ("packet", "xdp.frags", "xdp", "xdp", "", 32),
    ("ingress", "cgroup_skb/ingress", "cgroup_skb", "cgroup_inet_ingress", "", 0),
    ("probe", "kprobe/do_y", "kprobe", "", "do_y", 0),
    ("raw", "raw_tp/sys_enter", "raw_tracepoint", "", "sys_enter", 0),
    ("strange", "strange/name", "unspec", "", "", 0),
]
MAPS = {
    "kept": ("lru_hash", 4, 16, 64, 2, "by_name"),
    "events": ("perf_event_array", 4, 4, 0, 0, "none"),
    ".rodata": ("array", 4, 4, 1, 1024 + 128, "none"),
    ".data": ("array", 4, 16, 1, 1024, "none"),
}
VARIABLES = {
    "limit": (".rodata", 4, "unsigned int"),
    "title": (".data", 16, "char[16]"),
    "where": (".bss", 8, "const char *"),
    "pairs": (".bss", 96, "struct pair[3][2]"),
    "colour": (".bss", 4, "enum colour"),
    "callback": (".bss", 8, "int (*)(void *, char)"),
    "hits": (".bss", 8, "long"),
}


def run(*arguments: str) -> tuple[int, str, str]:
    """Run ``skep`` in this process; return its status and what it printed on both streams."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = cli.run(list(arguments))
    return status, out.getvalue(), err.getvalue()


def answer(*arguments: str) -> Any:
    """Run ``skep`` and return the JSON document that it prints."""
    status, out, err = run(*arguments, "--json")
    assert (status, err) == (0, "")
    assert out.endswith("\n")
    return json.loads(out)


@pytest.fixture(params=["bpfel", "bpfeb"])
def built(compile_bpf: CompileBpf, request: pytest.FixtureRequest) -> tuple[str, str]:
    """Return the object for either byte order, and the order's name."""
    path = compile_bpf(SOURCE, target=request.param)
    return str(path), "little" if request.param == "bpfel" else "big"


def test_show(built: tuple[str, str]) -> None:
    """Everything in it, under exactly the promised keys."""
    path, order = built
    what = answer("object", "show", path)
    assert list(what) == ["byte_order", "license", "programs", "maps", "variables"]
    assert (what["byte_order"], what["license"]) == (order, "Dual MIT/GPL")

    keys = "name section type attach_type attach_to flags license instructions core_relocations"
    assert all(list(program) == keys.split() for program in what["programs"])
    shown = {tuple(program.values())[:6]: program for program in what["programs"]}
    assert set(shown) == set(PROGRAMS)
    assert {program["license"] for program in what["programs"]} == {"Dual MIT/GPL"}
    assert {p["name"]: p["core_relocations"] for p in what["programs"]} == {
        "left_out": 1, "packet": 0, "ingress": 0, "probe": 0, "raw": 2, "strange": 0,
    }  # fmt: skip
    assert {p["name"]: p["instructions"] for p in what["programs"]}["ingress"] == 2

    keys = "name type key_size value_size max_entries flags pinning"
    assert all(list(each) == keys.split() for each in what["maps"])
    maps = {name: tuple(rest) for name, *rest in (each.values() for each in what["maps"])}
    assert maps.pop(".bss")[0] == "array"  # its size is the compiler's business
    maps.pop(".rodata.str1.1", None)
    assert maps == MAPS

    keys = "name section offset size type"
    assert all(list(one) == keys.split() for one in what["variables"])
    variables = {one["name"]: one for one in what["variables"]}
    assert {
        name: (one["section"], one["size"], one["type"]) for name, one in variables.items()
    } == VARIABLES
    assert variables["limit"]["offset"] == 0
    places = [one["offset"] for one in what["variables"] if one["section"] == ".bss"]
    assert len(set(places)) == 5


def test_show_for_people(built: tuple[str, str]) -> None:
    """Tables of what there is, flags by name."""
    path, order = built
    status, out, err = run("object", "show", path)
    assert (status, err) == (0, "")
    name = os.path.basename(path)
    first, *lines = out.splitlines()
    assert first == (
        f"{name}: {order}-endian, license Dual MIT/GPL, 6 programs, 5 maps, 7 variables"
    )
    words = [line.split() for line in lines]
    assert ["kept", "lru_hash", "4", "16", "64", "no_common_lru", "by_name"] in words
    assert ["pairs", ".bss"] in [row[:2] for row in words]
    (row,) = (row for row in words if row[:1] == ["left_out"])
    assert row[1:5] == ["?fentry.s/do_x", "tracing", "trace_fentry", "sleepable"]


def test_externs_are_for_people(compile_bpf: CompileBpf) -> None:
    """What the kernel has to provide is listed; the JSON document has nothing of it."""
    path = str(
        compile_bpf(
            "#include <skep/bpf.h>\n"
            'extern int CONFIG_HZ __attribute__((section(".kconfig")));\n'
            'extern void bpf_one(void *p) __attribute__((section(".ksyms"), weak));\n'
            'SEC("xdp") int p(void *c) { if (bpf_one) bpf_one(c); return CONFIG_HZ; }\n'
        )
    )
    rows = [line.split(maxsplit=2) for line in run("object", "show", path)[1].splitlines()]
    assert ["CONFIG_HZ", "kconfig", "int CONFIG_HZ"] in rows
    assert any(row[:2] == ["bpf_one", "kfunc"] and row[2].startswith("weak") for row in rows)
    assert len(answer("object", "show", path)) == 5


def test_section() -> None:
    """In the order given, the same name twice if asked, unknown ones as unspec."""
    names = ["xdp.frags/cpumap", "nothing", "?lsm.s/file_open", "tc", "xdp", "nothing"]
    assert [list(row.values()) for row in answer("object", "section", *names)] == [
        ["xdp.frags/cpumap", "xdp", "xdp_cpumap", "", 32],
        ["nothing", "unspec", "", "", 0],
        ["?lsm.s/file_open", "lsm", "lsm_mac", "file_open", 16],
        ["tc", "sched_cls", "", "", 0],
        ["xdp", "xdp", "xdp", "", 0],
        ["nothing", "unspec", "", "", 0],
    ]
    keys = ["section", "type", "attach_type", "attach_to", "flags"]
    assert list(answer("object", "section", "tp/a/b")[0]) == keys
    status, out, err = run("object", "section", "tp/sched/sched_switch", "nothing")
    assert (status, err) == (0, "")
    assert [line.split() for line in out.splitlines()] == [
        ["SECTION", "TYPE", "ATTACHES", "TO"],
        ["tp/sched/sched_switch", "tracepoint", "sched/sched_switch"],
        ["nothing", "unspec"],
    ]


def test_relocations(built: tuple[str, str]) -> None:
    """Asked of the object's own types, every answer is the local value."""
    path, _ = built
    what = answer("object", "relocations", path, "--btf", path)
    assert list(what) == ["btf", "relocations"]
    assert what["btf"] == {"source": "file", "path": path, "tried": []}
    keys = "program section instruction kind type path access local target reason file"
    assert all(list(row) == [*keys.split(), "line_number", "line"] for row in what["relocations"])
    rows = [(r["program"], r["kind"], r["path"], r["access"]) for r in what["relocations"]]
    assert rows == [
        ("left_out", "byte_off", "thing.here", "0:0"),
        ("raw", "field_exists", "thing.here", "0:0"),
        ("raw", "type_size", "thing", "0"),
    ]
    values = [(row["local"], row["target"]) for row in what["relocations"]]
    assert values == [(0, 0), (1, 1), (4, 4)]
    assert not any(row["reason"] for row in what["relocations"])
    assert what["relocations"][0]["line"] == (
        "return thing->here * 2 + limit + title[0] + colour + pairs[1][1].a + !where + !callback;"
    )


def test_relocations_without_an_answer(built: tuple[str, str]) -> None:
    """They say why, in JSON and in the table, and that is no failure of the command."""
    path, _ = built
    what = answer("object", "relocations", path, "--btf", "none")
    assert what["btf"] == {
        "source": "none", "path": None, "tried": [{"path": None, "reason": "none was asked for"}],
    }  # fmt: skip
    assert all(row["target"] is None for row in what["relocations"])
    assert all("none was asked for" in row["reason"] for row in what["relocations"])
    status, out, err = run("object", "relocations", path, "--btf", "none")
    assert (status, err) == (0, "")
    assert "3 CO-RE relocations, 3 without an answer" in out
    assert out.count("none was asked for") == 3


@pytest.mark.parametrize("command", ["show", "relocations"])
def test_what_is_no_object(command: str, tmp_path: Path) -> None:
    """One sentence that names the file."""
    (tmp_path / "empty.o").write_bytes(b"")
    (tmp_path / "text.o").write_text("int main;\n")
    (tmp_path / "\x1b[31m.o").write_bytes(b"\x7fELF")
    for file, reason in (
        (str(tmp_path / "empty.o"), "empty.o"),
        (str(tmp_path / "text.o"), "does not start with"),
        (str(tmp_path / "nothing.o"), "there is no object file"),
        (str(tmp_path / "\x1b[31m.o"), r"\x1b[31m.o"),
        (str(tmp_path), "Is a directory"),
        (os.devnull, "null"),
        (sys.executable, "is no relocatable object file"),
    ):
        status, out, err = run("object", command, file)
        assert (status, out) == (1, "")
        assert err.startswith("skep: ")
        assert reason in err
        assert err.count("\n") == 1
        assert err.strip().isprintable()
        assert "a bug in skep" not in err


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    """The reason is the system's."""
    secret = tmp_path / "secret.o"
    secret.write_bytes(b"\x7fELF")
    secret.chmod(0)
    done = subprocess.run(
        ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all", "--", sys.executable,
         "-m", "skep", "object", "show", str(secret)],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == f"skep: the object file {secret} cannot be read: Permission denied\n"


def test_an_object_without_types(built: tuple[str, str], tmp_path: Path) -> None:
    """Programs can be shown; there are no variables and no relocations."""
    source = 'int probe(void *ctx) __attribute__((section("kprobe/x"))); int probe(void *c) '
    source += "{ return 0; }\n"
    (tmp_path / "bare.c").write_text(source)
    command = "-m ziglang cc -target bpfel-freestanding -g0 -O2 -c bare.c -o bare.o"
    subprocess.run([sys.executable, *command.split()], check=True, cwd=tmp_path)
    what = answer("object", "show", str(tmp_path / "bare.o"))
    assert [(p["name"], p["license"]) for p in what["programs"]] == [("probe", "")]
    assert (what["maps"], what["variables"]) == ([], [])
    assert "no license, 1 program, 0 maps" in run("object", "show", str(tmp_path / "bare.o"))[1]
    assert answer("object", "relocations", str(tmp_path / "bare.o"))["relocations"] == []


@pytest.mark.parametrize("command", ["show", "relocations"])
def test_cut_short(built: tuple[str, str], command: str, tmp_path: Path) -> None:
    """Wherever it ends, there is one sentence."""
    data = Path(built[0]).read_bytes()
    short = tmp_path / "short.o"
    options = ["--btf", built[0]] if command == "relocations" else []
    for size in range(0, len(data), 97):
        short.write_bytes(data[:size])
        status, out, err = run("object", command, str(short), *options)
        assert (status, out) == (1, ""), size
        assert err.startswith("skep: short.o "), err
        assert err.count("\n") == 1
        assert "a bug in skep" not in err


def test_hostile(built: tuple[str, str], tmp_path: Path) -> None:
    """Changed bytes are shown or refused; names cannot drive the terminal."""
    data = Path(built[0]).read_bytes()
    odd = random.Random(7)
    bad = tmp_path / "bad.o"
    refused = 0
    for _ in range(300):
        changed = bytearray(data)
        for _ in range(odd.choice([1, 2, 8, 32])):
            changed[odd.randrange(len(changed))] = odd.choice([0, 1, 27, 127, 128, 255])
        bad.write_bytes(changed)
        for arguments in (["show"], ["show", "--json"], ["relocations", "--btf", built[0]]):
            status, out, err = run("object", arguments[0], str(bad), *arguments[1:])
            assert status in {0, 1}
            assert bool(out) != bool(err)
            assert (status == 1) == bool(err)
            assert "a bug in skep" not in err
            assert all(line.isprintable() for line in (out + err).splitlines())
            refused += status
    assert 100 < refused < 900


@pytest.mark.parametrize("arguments", [["show"], ["show", "--json"], ["relocations", "--json"]])
def test_output_that_cannot_be_written(built: tuple[str, str], arguments: list[str]) -> None:
    """A full disk is said once; a reader that went away is no failure."""
    command = [sys.executable, "-m", "skep", "object", arguments[0], built[0], *arguments[1:]]
    command += ["--btf", built[0]] if arguments[0] == "relocations" else []
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


def test_imports_little(built: tuple[str, str]) -> None:
    """Nothing of weight in a pipe."""
    code = (
        "import sys; from skep.cli import run; run(sys.argv[1:]); "
        "print(sorted({'numpy', 'rich', 'subprocess', 'asyncio', 'skep.links.auto',"
        "'skep.object.load', 'dataclasses'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "object", "show", built[0]],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["object", "section"], "Missing argument 'NAME...'"),
        (["object", "show"], "Missing argument 'FILE'"),
        (["object", "nothing"], "No such command 'nothing'"),
        (["object", "show", "a", "b"], "unexpected extra argument"),
        (["check"], "Missing argument 'FILE'"),
    ],
)
def test_wrong_usage(arguments: list[str], message: str) -> None:
    """Status 2, and where to look."""
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert "Usage: skep" in err


def on_a_terminal(*arguments: str) -> tuple[int, str]:
    """Run ``skep`` on a terminal; return its status and what appears there."""
    reader, writer = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "skep", *arguments], stdout=writer, stderr=writer, stdin=writer
    ) as process:
        os.close(writer)
        shown = b""
        with suppress(OSError):  # how a terminal says that nobody writes any more
            while chunk := os.read(reader, 1 << 16):
                shown += chunk
        os.close(reader)
    return process.returncode, shown.decode()


def test_on_a_terminal(built: tuple[str, str]) -> None:
    """Coloured, and the same words."""
    colours = re.compile(r"\x1b\[[0-9;]*m")
    for arguments in (
        ["object", "show", built[0]],
        ["object", "section", "xdp", "nonsense"],
        ["object", "relocations", built[0], "--btf", built[0]],
    ):
        status, shown = on_a_terminal(*arguments)
        assert status == 0
        assert colours.search(shown)
        assert colours.sub("", shown).split() == run(*arguments)[1].split()


def test_completion(tmp_path: Path) -> None:
    """A shell can ask for the names."""
    for words, count, expected in (
        ("skep ob", 1, {"object"}),
        ("skep object ", 2, {"show", "section", "relocations"}),
        ("skep check --", 2, {"--btf", "--verbose", "--json", "--help"}),
    ):
        asked = {"_SKEP_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(count)}
        done = subprocess.run(
            [sys.executable, "-c", "from skep.cli import main; main()"],
            check=True, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, **asked},
        )  # fmt: skip
        assert {line.removeprefix("plain,") for line in done.stdout.split()} == expected
