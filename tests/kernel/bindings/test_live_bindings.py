"""Generated modules at work: against the kernel, as scripts, with objects that are not theirs."""

from __future__ import annotations

import copy
import importlib
import itertools
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from bound_source import SOURCE

import skep
from skep.bindings import generate
from skep.errors import ClosedError, NotFoundError, RangeError, TypeMismatchError
from skep.maps import ArrayMap, MapOfMaps, Queue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from compiling import CompileBpf

ROOT = Path(__file__).parents[3]
TOOLS = sorted(ROOT.glob("src/skep/tools/*/*.bpf.o"))
_numbers = itertools.count()


def module_of(path: Path, **options: Any) -> ModuleType:
    """Write the module of an object beside it, and import it under a name that is new."""
    name = f"bound_{next(_numbers)}"
    text = generate(skep.ObjectSpec.from_file(path), **options)
    (path.parent / f"{name}.py").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(path.parent)
        return importlib.import_module(name)


@pytest.fixture(scope="module")
def rich(compile_bpf: CompileBpf, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    path = tmp_path_factory.mktemp("rich") / "rich.bpf.o"
    shutil.copy(compile_bpf(SOURCE), path)
    made = module_of(path)
    yield made
    del sys.modules[made.__name__]


def test_a_program_at_work(rich: Any) -> None:
    me = os.getpid()
    constants = {
        "only_pid": me,
        "with_truth": False,
        "here": rich.place(port=443, halves=rich.place_halves(1, 2)),
        "btf_": 100,
        "max_entries_": 10,
        "lambda_": 1,
    }
    with rich.open(**constants, max_entries={"events_by_pid": 7}) as p, p.attach():
        assert p.maps.events_by_pid.info.max_entries == 7
        zeros = p.variables.last.value
        assert isinstance(zeros, rich.event)
        p.maps.events_by_pid[me] = zeros
        p.variables.step.value = 3
        p.variables.state_now.value = rich.state.IDLE
        for _ in range(5):
            os.getppid()
        event = p.maps.events_by_pid[me]
        assert isinstance(event, rich.event)
        assert isinstance(event.at[1], rich.place)
        assert isinstance(event.at[1].halves, rich.place_halves)
        assert isinstance(event.pair, rich.pair_t)
        assert isinstance(event.either, rich.either)
        assert (event.pid, event.state) == (me, rich.state.IDLE)
        assert (event.at[1].port, event.at[1].halves.second) == (443, 2)
        assert (event.pair.high, event.either.whole, event.either.half) == (
            0x1234, 1 << 32, (0, 1)
        )  # fmt: skip
        assert (event.number, event.bytes) == (0x01020304, b"\4\3\2\1")
        assert (event.narrow, event.wide, event.truth) == (-2, 4097, False)
        assert event.grid == ((0, 0, 0), (0, 0, 111))
        assert str(event.address) == "127.0.0.1"
        per_cpu = p.maps.per_cpu[0]
        assert all(isinstance(each, rich.per_cpu_value) for each in per_cpu)
        assert sum(each.hits for each in per_cpu) == 15
        stream = p.maps.ring.stream()
        records = list(itertools.islice(stream.records(), 5))
        assert all(isinstance(each, rich.event) for each in records)
        assert {(each.pid, each.comm) for each in records} == {(me, event.comm)}
        assert p.variables.apart.value == 9 + 5 * (ord("a") + 11)
        assert p.variables.last.value == event


def test_every_kind_of_map_is_its_class_and_holds_its_records(rich: Any) -> None:
    with rich.open() as p:
        odd = rich.odd(1, 2, 3, 4, 5, 6, 7, 8)
        p.maps.class_[odd] = rich.class_(lambda_=5)
        assert list(p.maps.class_.items()) == [(odd, (5,))]
        key, value = next(iter(p.maps.class_.items()))
        assert (type(key), type(value)) == (rich.odd, rich.class_)
        assert (key.class_, key._pad, key._fields_) == (1, 7, 8)
        assert isinstance(p.maps.print, ArrayMap)
        p.maps.print[1] = {"x": 9}
        assert p.maps.print[1] == rich.print_(x=9)
        assert type(p.maps.bss[0]) is rich.Map_
        assert isinstance(p.maps.bss_2[0], bytes)
        key = rich.place(1, rich.place_halves(2, 3))
        p.maps.same_type[key] = p.variables.last.value
        assert [type(each) for each in p.maps.same_type] == [rich.place]
        assert isinstance(p.maps.queue, Queue)
        p.maps.queue.push(key)
        assert p.maps.queue.pop() == key
        p.maps.bloom.add(5)
        assert 5 in p.maps.bloom
        p.maps.routes["10.0.0.0/8"] = rich.int_(z=1)
        assert p.maps.routes["10.1.2.3"] == rich.int_(1)
        assert isinstance(p.maps.outer, MapOfMaps)
        made = p.object.spec.maps["outer"].inner.create()
        with made:
            p.maps.outer[1] = made
        with p.maps.outer[1] as inner:
            inner[3] = key
            assert type(inner[3]) is rich.place
        p.maps.untyped[b"abc"] = b"12345"
        assert dict(p.maps.untyped.items()) == {b"abc": b"12345"}


def test_programs_that_were_left_out_are_named(rich: Any) -> None:
    with rich.open() as p:
        assert p.programs.on_getppid.name == "on_getppid"
        with pytest.raises(NotFoundError, match="lambda_"):
            _ = p.programs.lambda_
    with rich.open(programs=["lambda_"]) as p:
        assert p.programs.lambda_.section == "?raw_tp/sys_enter"


def test_values_are_checked_before_anything_is_loaded(rich: Any) -> None:
    with pytest.raises(RangeError, match="'only_pid'"):
        rich.open(only_pid=-1)
    with pytest.raises(TypeMismatchError, match="max_entries is an integer"):
        rich.open(max_entries={"events_by_pid": "many"})
    with pytest.raises(RangeError, match="0 to 2"):
        rich.open(max_entries={"events_by_pid": -1})
    with pytest.raises(NotFoundError, match="no map 'no_such'"):
        rich.open(max_entries={"no_such": 1})


def test_attributes_are_there_and_cannot_be_replaced(rich: Any) -> None:
    with rich.open() as p:
        with pytest.raises(AttributeError):
            p.maps.queue = 1
        with pytest.raises(AttributeError):
            p.maps.no_such  # noqa: B018
        assert "events_by_pid" in dir(p.maps)
        assert repr(p) == f"<{rich.__name__}.Opened rich.bpf.o>"
        assert "events_by_pid" in repr(p.maps)
    assert p.closed
    assert repr(p).endswith("rich.bpf.o (closed)>")
    with pytest.raises(ClosedError):
        p.maps.events_by_pid[1]
    with pytest.raises(ClosedError):
        p.__enter__()
    p.close()


def test_the_spec_can_be_edited_first(rich: Any) -> None:
    spec = rich.spec()
    assert isinstance(spec.variables["here"].value, rich.place)
    spec.maps["events_by_pid"].max_entries = 3
    with rich.open(object=spec, max_entries={"same_type": 9}) as p:
        assert p.maps.events_by_pid.spec.max_entries == 3
        assert p.maps.same_type.spec.max_entries == 9
        assert isinstance(p.variables.here.value, rich.place)
    assert spec.maps["same_type"].max_entries == 64  # it is the caller's


def test_a_spec_that_was_looked_into_before_gives_the_modules_records(rich: Any) -> None:
    spec = skep.ObjectSpec.from_file(rich._BINDING.path)
    assert type(spec.variables["here"].value) is not rich.place
    with rich.open(object=spec) as p:
        assert type(p.variables.here.value) is rich.place


def test_records_can_be_pickled_and_copied(rich: Any) -> None:
    place = rich.place(1, rich.place_halves(2, 3))
    for again in (pickle.loads(pickle.dumps(place)), copy.copy(place), copy.deepcopy(place)):
        assert again == place
        assert type(again) is rich.place


def test_forgetting_to_close_is_a_warning(rich: Any) -> None:
    with pytest.warns(ResourceWarning, match=r"rich\.bpf\.o was never closed"):
        rich.open(programs=[])


# The object


@pytest.fixture
def apart(compile_bpf: CompileBpf, tmp_path: Path) -> Path:
    """The object in a folder of the test's own."""
    path = tmp_path / "rich.bpf.o"
    shutil.copy(compile_bpf(SOURCE), path)
    return path


def test_an_object_inside_the_module_needs_no_file(apart: Path) -> None:
    made: Any = module_of(apart, embed=True)
    apart.unlink()
    with made.open() as p:
        assert type(p.variables.here.value) is made.place


def test_an_object_that_is_not_there(apart: Path) -> None:
    made: Any = module_of(apart)
    apart.rename(apart.with_name("moved.bpf.o"))
    with pytest.raises(NotFoundError, match=r"needs the object file .*rich\.bpf\.o") as caught:
        made.open()
    assert "--embed" in caught.value.hint
    with made.open(object=apart.with_name("moved.bpf.o")) as p:
        assert type(p.variables.here.value) is made.place


def test_an_object_built_anew_with_the_same_types_still_fits(
    apart: Path, compile_bpf: CompileBpf
) -> None:
    made: Any = module_of(apart)
    first = 'struct first { int x; };\nSEC("?raw_tp/sys_exit") int first(struct first *x)'
    first += "\n{\n\treturn 0;\n}\n"
    other = SOURCE.replace('SEC("uprobe/', first + 'SEC("uprobe/')
    other = other.replace("__u64 step = 1", "__u64 added;\n__u64 step = 1")
    shutil.copy(compile_bpf(other), apart)
    assert made.spec().btf.records.keys() != made._BINDING.records.keys()  # they moved
    with made.open() as p:
        assert type(p.variables.here.value) is made.place
        assert type(p.maps.per_cpu[0][0]) is made.per_cpu_value


def test_an_object_with_other_types_is_refused_with_what_changed(
    apart: Path, compile_bpf: CompileBpf
) -> None:
    made: Any = module_of(apart)
    other = SOURCE.replace("__u64 step = 1", "__u32 step = 1")
    other = other.replace("typedef struct { __u32 low;", "typedef struct { __u16 low;")
    shutil.copy(compile_bpf(other), apart)
    with pytest.raises(TypeMismatchError) as caught:
        made.open()
    assert caught.value.changes == [  # type: ignore[attr-defined]
        "pair_t had __u32 low at 0, now has __u16 low at 0",
        "variable step was __u64, now it is __u32",
    ]
    name = Path(made.__file__).name
    assert str(caught.value) == (
        f"rich.bpf.o is not what {name} was written for:\n"
        "  pair_t had __u32 low at 0, now has __u16 low at 0\n"
        "  variable step was __u64, now it is __u32"
        f" (write it anew: skep gen rich.bpf.o -o {name})"
    )


@pytest.mark.parametrize("path", TOOLS, ids=lambda path: path.parent.name)
def test_the_tools_objects_load_through_their_modules(path: Path, tmp_path: Path) -> None:
    shutil.copy(path, tmp_path)
    made: Any = module_of(tmp_path / path.name)
    with made.open(programs=[]) as p:
        for name in dir(p.maps):
            if not name.startswith("_"):
                assert (
                    getattr(p.maps, name).type
                    == p.object.maps[made._BINDING.names.get(f"map {name}", name)].type
                )
        for name in dir(p.variables):
            if not name.startswith("_"):
                assert getattr(p.variables, name).name == name


# As a person uses it


SCRIPT = """
import os

import counts

with counts.open(only_pid=os.getpid()) as p, p.attach():
    for _ in range(3):
        os.getppid()
    print(p.variables.step.value, sum(each.hits for each in p.maps.per_cpu[0]))
    print(type(p.maps.same_type), counts.place(1, counts.place_halves(2, 3)))
"""


def skep_(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "skep", *arguments]
    return subprocess.run(command, cwd=cwd, check=False, capture_output=True, text=True)


def test_a_script_without_a_warning(apart: Path, tmp_path: Path) -> None:
    assert skep_("gen", "rich.bpf.o", "-o", "counts.py", cwd=tmp_path).stdout == "counts.py\n"
    (tmp_path / "use.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "use.py"],
        cwd=tmp_path, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout == (
        "1 3\n<class 'skep.maps.map.Map'>"
        " struct place {.port = 1, .halves = struct (anonymous) {.first = 2, .second = 3}}\n"
    )


def test_importing_a_module_imports_next_to_nothing(apart: Path, tmp_path: Path) -> None:
    skep_("gen", "rich.bpf.o", "-o", "counts.py", cwd=tmp_path)
    code = "import sys; old = set(sys.modules); import counts; print(*set(sys.modules) - old)"
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, '.'); {code}"],
        cwd=tmp_path, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert set(done.stdout.split()) <= {
        "__future__", "_operator", "counts", "operator", "skep", "skep.bindings",
        "skep.bindings.module", "skep.btf", "skep.btf.record", "skep.errors", "skep.kernel",
        "skep.kernel.enums", "skep.owner",
    }  # fmt: skip
