"""What `skep gen` writes: the same bytes every time, and nothing of the object executable."""

from __future__ import annotations

import ast
import inspect
import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from bound_source import SOURCE
from hypothesis import given, settings
from hypothesis import strategies as st

import skep
from skep.bindings import generate
from skep.bindings.check import difference
from skep.bindings.declare import differences, shape
from skep.btf.btf import Btf
from skep.btf.writer import Builder
from skep.errors import BtfError, NotFoundError
from skep.kernel.constants import MapType
from skep.object.variables import read_variables

if TYPE_CHECKING:
    from types import ModuleType

    from compiling import CompileBpf

ROOT = Path(__file__).parents[3]
TOOLS = sorted(ROOT.glob("src/skep/tools/*/*.bpf.o"))
_modules = itertools.count()


def module(text: str, folder: Path) -> ModuleType:
    """Import the text of a generated module as a person would, from a file."""
    from importlib.util import module_from_spec, spec_from_file_location

    name = f"generated_{next(_modules)}"
    path = folder / f"{name}.py"
    path.write_text(text)
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    made = sys.modules[name] = module_from_spec(spec)
    try:
        spec.loader.exec_module(made)
    finally:
        del sys.modules[name]
    return made


@pytest.fixture(scope="module")
def rich(compile_bpf: CompileBpf, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The object of `bound_source`, under a name of its own."""
    path = tmp_path_factory.mktemp("rich") / "rich.bpf.o"
    shutil.copy(compile_bpf(SOURCE), path)
    return path


@pytest.fixture(scope="module")
def made(rich: Path) -> Any:
    return module(generate(skep.ObjectSpec.from_file(rich)), rich.parent)


# What is in a module


def test_records_have_the_members_of_the_struct_and_its_declaration(made: Any) -> None:
    event = made.event
    assert issubclass(event, skep.Record)
    assert event.__annotations__ == {
        "pid": "int",
        "state": "int",
        "comm": "str",
        "digest": "_bytes",
        "at": "tuple[place, ...]",
        "pair": "pair_t",
        "either": "_either",
        "number": "int",
        "bytes": "_bytes",
        "narrow": "int",
        "wide": "int",
        "truth": "bool",
        "real": "float",
        "grid": "tuple[tuple[int, ...], ...]",
        "where": "int",
        "address": "IPv4Address",
    }
    shown = inspect.cleandoc(event.__doc__)  # as Python 3.13 does when it compiles
    assert "struct event {\n    __u32 pid;\n    enum state state;" in shown
    assert (made._bytes, made._either) == (bytes, made.either)


def test_a_record_is_made_by_the_names_of_its_members(made: Any) -> None:
    assert made.place_halves(first=1, second=2) == (1, 2)
    halves = made.place_halves(3, 4)
    assert repr(made.place(port=80, halves=halves)) == (
        "struct place {.port = 80, .halves = struct (anonymous) {.first = 3, .second = 4}}"
    )
    with pytest.raises(TypeError, match="needs a value for its member 'halves'"):
        made.place(port=80)


def test_members_that_python_cannot_name_have_another_name(made: Any) -> None:
    odd = made.odd(class_=1, from_=2, print=3, count=4, index=5, asdict_=6, _pad=7, _fields_=8)
    assert odd.asdict() == {
        "class": 1, "from": 2, "print": 3, "count": 4, "index": 5, "asdict": 6, "__pad": 7,
        "_fields": 8,
    }  # fmt: skip
    assert (odd.class_, odd.count, odd._pad, odd._fields_) == (1, 4, 7, 8)
    assert odd.replace(class_=9).class_ == 9
    assert repr(made.class_(lambda_=5)) == "struct class {.lambda = 5}"


def test_enums(made: Any) -> None:
    assert {member.name: int(member) for member in made.state} == {
        "IDLE": 0, "RUNNING": 7, "_STATE_MAX": 8, "name_": 9, "mro_": 10,
    }  # fmt: skip
    assert made.state(7) is made.state.RUNNING
    assert "__STATE_MAX = 8," in made.state.__doc__


def test_anonymous_types_are_called_after_where_they_are(made: Any) -> None:
    assert made.place_halves._type_name == "struct (anonymous)"
    assert made.per_cpu_value._fields == ("hits", "misses")
    assert made.nameless._fields == ("inner",)
    assert made.pair_t._type_name == "pair_t"


def test_types_that_only_a_variable_points_to_are_there(made: Any) -> None:
    assert made.unseen._fields == ("only_through_a_pointer",)


def returned(cls: type) -> dict[str, str]:
    return {
        name: value.fget.__annotations__["return"]
        for name, value in vars(cls).items()
        if isinstance(value, property)
    }


def test_maps_have_their_kind_and_types(made: Any) -> None:
    assert returned(made.Maps) == {
        "rodata": "ArrayMap[bytes]",
        "data": "ArrayMap[bytes]",
        "data_apart": "ArrayMap[bytes]",
        "bss": "ArrayMap[Map_]",
        "bss_2": "ArrayMap[bytes]",
        "events_by_pid": "Map[int, event]",
        "same_type": "Map[place, event]",
        "class_": "Map[odd, _class_]",
        "print": "ArrayMap[print_]",
        "per_cpu": "ArrayMap[tuple[per_cpu_value, ...]]",
        "per_cpu_hash": "Map[either, tuple[int, ...]]",
        "queue": "Queue[place]",
        "bloom": "BloomFilter[int]",
        "routes": "LpmTrie[Any, int_]",
        "outer": "MapOfMaps[int, Map[int, place]]",
        "untyped": "Map[bytes, bytes]",
        "jumps": "ProgramArray",
        "ring": "Map[None, event]",
        "ring_ledger": "ArrayMap[tuple[ring_ledger_value, ...]]",
        "plain_ring": "Map[None, Any]",
    }
    assert '__type(value, struct event);\n} events_by_pid SEC(".maps");' in (
        inspect.cleandoc(made.Maps.events_by_pid.__doc__)
    )
    assert made.Maps.bss_2.__doc__ == "`.bss`: the section of data, 152 bytes."


def test_variables_and_programs(made: Any) -> None:
    found = returned(made.Variables)
    assert found["step"] == found["only_pid"] == found["folded"] == "Variable[int]"
    assert found["text"] == "Variable[str]"
    assert found["here"] == "Variable[place]"
    assert found["pairs"] == "Variable[tuple[pair_t, ...]]"
    assert found["nameless"] == "Variable[_nameless]"
    assert made._nameless is made.nameless
    assert made.Variables.step.__doc__ == "`__u64 step`: a variable in `.data`."
    assert returned(made.Programs) == {"on_getppid": "Program", "lambda_": "Program"}
    assert "section `uprobe/libc:getppid`" in made.Programs.on_getppid.__doc__
    assert "loaded only when asked for" in made.Programs.lambda_.__doc__


def test_open_takes_what_is_const_volatile(made: Any) -> None:
    from inspect import signature

    parameters = signature(made.open).parameters
    assert {name: each.annotation for name, each in parameters.items()} == {
        "only_pid": "int | None",
        "with_truth": "bool | None",
        "text": "str | None",
        "here": "place | None",
        "btf_": "int | None",
        "max_entries_": "int | None",
        "lambda_": "int | None",
        "max_entries": "MaxEntries | None",
        "object": "str | os.PathLike[str] | ObjectSpec | None",
        "load": "Unpack[Load]",
    }


def test_more_types_can_be_asked_for(rich: Path) -> None:
    spec = skep.ObjectSpec.from_file(rich)
    assert "class inner(" not in generate(spec)
    assert "class inner(_skep.Record" in generate(spec, types=["inner"])
    with pytest.raises(NotFoundError, match="no struct called 'no_such'"):
        generate(spec, types=["no_such"])


def test_an_object_without_btf_has_bytes(compile_bpf: CompileBpf) -> None:
    from skep.elf.reader import ElfFile

    data = bytearray(compile_bpf(LEGACY).read_bytes())
    at = data.index(b".BTF\0")
    data[at : at + 4] = data[at + 9 - 4 : at + 9 - 3] + b"OFF"
    data = data.replace(b".BTF.ext\0", b".OFF.ext\0")
    assert ElfFile(bytes(data)).section(".BTF") is None
    text = generate(skep.ObjectSpec.from_bytes(data, "old.bpf.o"), data=bytes(data))
    assert "def counts(self) -> Map[bytes, bytes]:" in text
    assert "def numbers(self) -> ArrayMap[bytes]:" in text
    assert "`counts`: hash, 4 bytes to 8 bytes, 16 entries." in text


LEGACY = r"""
#include <skep/bpf.h>
char LICENSE[] SEC("license") = "GPL";
struct bpf_map_def { unsigned type, key_size, value_size, max_entries, flags; };
struct bpf_map_def SEC("maps") counts = { BPF_MAP_TYPE_HASH, 4, 8, 16 };
struct bpf_map_def SEC("maps") numbers = { BPF_MAP_TYPE_ARRAY, 4, 8, 16 };
SEC("raw_tp/sys_enter") int program(void *ctx)
{
	__u32 key = 0;
	return bpf_map_lookup_elem(&counts, &key) || bpf_map_lookup_elem(&numbers, &key);
}
"""


# The same bytes every time


@pytest.mark.parametrize("path", TOOLS, ids=lambda path: path.stem)
def test_another_process_elsewhere_writes_the_same_bytes(path: Path, tmp_path: Path) -> None:
    """Another hash seed, folder, language and time zone; the object under another path."""
    copy = tmp_path / path.name
    shutil.copy(path, copy)
    code = (
        "import sys, skep; from skep.bindings import generate;"
        "sys.stdout.write(generate(skep.ObjectSpec.from_file(sys.argv[1]), embed=True))"
    )
    texts = {generate(skep.ObjectSpec.from_file(path), embed=True)}
    for seed, language in (("1", "C"), ("2", "tr_TR.UTF-8")):
        settings_ = {"PYTHONHASHSEED": seed, "LC_ALL": language, "TZ": "Asia/Kathmandu"}
        done = subprocess.run(
            [sys.executable, "-c", code, str(copy)],
            cwd=tmp_path, env={**os.environ, **settings_}, check=True, capture_output=True,
        )  # fmt: skip
        texts.add(done.stdout.decode("ascii"))
    assert len(texts) == 1


def test_generating_changes_nothing(rich: Path) -> None:
    spec = skep.ObjectSpec.from_file(rich)
    first = generate(spec)
    assert generate(spec) == first
    assert generate(spec.copy(), data=rich.read_bytes()) == first


# Objects that change


def test_what_changed_is_told_thing_by_thing(compile_bpf: CompileBpf) -> None:
    source = SOURCE.replace("struct { __u8 first, second; } halves;", "__u16 halves;")
    source = source.replace("__u64 step = 1;", "__u32 step = 1;")
    source = source.replace("BPF_MAP_TYPE_LRU_HASH", "BPF_MAP_TYPE_HASH")
    source = source.replace("name, mro", "name = 10, mro = 10 + 0")
    source = source.replace("event->at[1].halves.second = 2;", "")
    source = source.replace("lambda_(void", "renamed(void")
    before = shape(skep.ObjectSpec.from_file(compile_bpf(SOURCE)))
    now = shape(skep.ObjectSpec.from_file(compile_bpf(source)))
    assert differences(before, before) == []
    found = [each.replace("struct event", "u") for each in differences(before, now)]
    assert found == [
        "struct of place_halves is gone",
        "struct place had struct (anonymous) halves at 2, now has __u16 halves at 2",
        "enum state had name 9, now has name 10",
        "map same_type was lru_hash, struct place to u, now it is hash, struct place to u",
        "variable step was __u64, now it is __u32",
        "program lambda_ is gone",
    ]


def test_other_code_is_no_change(compile_bpf: CompileBpf) -> None:
    before = shape(skep.ObjectSpec.from_file(compile_bpf(SOURCE)))
    other = SOURCE.replace("0x1234", "0x4321").replace("__u64 step = 1", "__u64 step = 2")
    more = other.replace("__s32 below", "__s32 also_there = 1;\n__s32 below")
    assert differences(before, shape(skep.ObjectSpec.from_file(compile_bpf(more)))) == []


def test_a_difference_is_told_in_a_few_lines(tmp_path: Path) -> None:
    path = tmp_path / "some.py"
    assert difference(str(path), "x") == ["there is no such file"]
    path.write_text("a\nb\nc\n")
    assert difference(str(path), "a\nb\nc\n") == []
    assert difference(str(path), "a\nX\nc\n") == ["- b", "+ X"]
    assert difference(str(path), "a\r\nb\r\nc\r\n") == ["its line ends differ"]
    path.write_bytes(b"\xff\xfe\0")
    assert difference(str(path), "a") == ["it is not text"]
    path.write_text("".join(f"{i}\n" for i in range(100)))
    assert difference(str(path), "")[-1] == "and 88 lines more"


# Hostile objects

HOSTILE = [
    '"""; import os; os.abort() #',
    "'''\nraise SystemExit\n'''",
    '"',
    "\\",
    "x\\",
    'x" + __import__("os").abort() + "',
    "x:\n    import os\n    os.abort()\n",
    "\r\nraise SystemExit",
    "\u2028raise SystemExit",
    "\x00",
    "\x1b[2J",
    "{__import__('os').abort()}",
    "%s{0}",
    "\udcff",
    "__class__",
    "__init_subclass__",
    "__slots__",
    "_parts",
    "_live",
    "_map",
    "property",
    "open",
    "maps",
    "object",
    "self",
    "Opened",
    "_skep",
    "_BINDING",
    "constants",
    "__file__",
    "None",
    "int",
    "type_name",
    "members",
    "\N{MATHEMATICAL BOLD SMALL A}",
    "",
    " ",
    "a" * 5000,
]

STATEMENTS = (
    ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef, ast.Assign, ast.If, ast.Expr,
)  # fmt: skip


def only_what_is_ours(text: str) -> None:
    """See that a module consists of the statements that `skep gen` writes, and of no others."""
    tree = ast.parse(text)
    assert text.isascii()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names]
            origin = getattr(node, "module", "") or ""
            assert origin.startswith("skep.") or origin in {
                "", "skep", "__future__", "typing", "ipaddress"
            }  # fmt: skip
            assert origin or names == ["os"]
        elif isinstance(node, ast.Call):
            assert ast.unparse(node.func) in {
                "_skep.Binding", "_BINDING.load", "_BINDING.spec", "Opened", "self._map",
                "self._variable", "self._program",
            }  # fmt: skip
        elif isinstance(node, ast.Expr):
            assert isinstance(node.value, ast.Constant), ast.unparse(node)
        elif isinstance(node, ast.stmt):
            kinds = (*STATEMENTS, ast.AnnAssign, ast.Return)
            assert isinstance(node, kinds), ast.unparse(node)
        elif isinstance(node, (ast.JoinedStr, ast.Await, ast.Lambda, ast.NamedExpr)):
            pytest.fail(ast.unparse(node))
    assert all(isinstance(node, STATEMENTS) for node in tree.body)


def hostile_spec(texts: list[str]) -> skep.ObjectSpec:
    """Return an object in which everything is called by one of *texts*."""
    # A BTF string ends at its first NUL.
    given = [text.partition("\0")[0] or "x" for text in texts]
    names = itertools.cycle(given)
    b = Builder()
    number = b.int(next(names), 4)
    enum = b.enum(next(names), [(next(names), 1), (next(names), 2)])
    inner = b.struct(next(names), 4, [(next(names), number, 0)])
    fields = [(next(names), kind, 32 * i) for i, kind in enumerate([number, inner, enum])]
    outer = b.struct(next(names), 12, fields)
    union = b.union(next(names), 4, [(next(names), number, 0), (next(names), inner, 0)])
    renamed = b.typedef(next(names), b.const(b.volatile(outer)))
    anonymous = b.struct("", 8, [(next(names), number, 0), (next(names), inner, 32)])
    tagged = b.type_tag(next(names), inner)
    pointer = b.pointer(tagged)
    proto = b.func_proto(number, [(next(names), pointer)])
    function = next(names)
    b.func(function, proto)
    kinds = [number, renamed, union, enum, anonymous, pointer]
    sizes = [4, 12, 4, 4, 8, 8]
    variables = [(b.var(next(names), kind), 16 * i, sizes[i]) for i, kind in enumerate(kinds)]
    section = b.datasec(next(names), 16 * len(kinds), variables)
    btf = Btf.from_bytes(b.build(), name=texts[0])
    spec = skep.ObjectSpec(texts[0], byteorder="little", btf=btf)
    for text in texts:
        spec.maps[text] = skep.MapSpec(
            name=text, type=MapType.HASH, key_size=4, value_size=12, max_entries=1, btf=btf,
            key_type_id=number, value_type_id=outer,
        )  # fmt: skip
    spec.maps[".rodata"] = skep.MapSpec(
        name=".rodata", type=MapType.ARRAY, key_size=4, value_size=16 * len(kinds), max_entries=1,
        btf=btf, value_type_id=section, contents=bytearray(16 * len(kinds)), frozen=True,
    )  # fmt: skip
    spec.variables = read_variables(spec.maps, btf, spec.name)
    for text in [function, *texts]:
        spec.programs[text] = skep.ProgramSpec(name=text, section=f"raw_tp/{text}", code=[])
    return spec


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[:40])
def test_a_hostile_name_is_only_a_name(text: str, tmp_path: Path) -> None:
    written = generate(hostile_spec([text]), data=b"", embed=True, object=text)
    only_what_is_ours(written)
    made: Any = module(written, tmp_path)
    assert made.Opened.__doc__
    assert set(made._BINDING.shape) == set(shape(hostile_spec([text])))


def test_many_hostile_names_at_once(tmp_path: Path) -> None:
    written = generate(hostile_spec(HOSTILE), data=b"")
    only_what_is_ours(written)
    module(written, tmp_path)


@given(st.lists(st.text(max_size=40) | st.sampled_from(HOSTILE), min_size=1, max_size=8))
@settings(max_examples=150, deadline=None)
def test_any_name_is_only_a_name(texts: list[str]) -> None:
    only_what_is_ours(generate(hostile_spec(texts), data=b"", object=texts[-1]))


def test_an_object_that_is_a_kernel_is_refused() -> None:
    b = Builder()
    number = b.int("int", 4)
    spec = skep.ObjectSpec("huge", byteorder="little")
    ids = [b.struct(f"s{i}", 4, [("x", number, 0)]) for i in range(5000)]
    btf = spec.btf = Btf.from_bytes(b.build())
    for i, id_ in enumerate(ids):
        spec.maps[f"m{i}"] = skep.MapSpec(
            name=f"m{i}", type=MapType.HASH, key_size=4, value_size=4, max_entries=1, btf=btf,
            key_type_id=number, value_type_id=id_,
        )  # fmt: skip
    with pytest.raises(BtfError, match="too many types for a module"):
        generate(spec, data=b"")


def test_a_spec_from_nowhere_needs_its_bytes() -> None:
    with pytest.raises(NotFoundError, match="did not come from a file"):
        generate(skep.ObjectSpec("x", byteorder="little"))
