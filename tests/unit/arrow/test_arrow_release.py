"""Who holds exported memory and until when: capsules nobody takes, moved children, exit."""

from __future__ import annotations

import base64
import gc
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from arrow_support import (
    buffers,
    children,
    last_error,
    name_of,
    next_of,
    release,
    schema_of,
    take,
)
from needs import need_module

import skep.arrow
from skep.arrow import Table, machine_code
from skep.arrow.column import Column
from skep.arrow.export import stream_capsule
from skep.arrow.fields import Group, Number
from skep.arrow.structs import ArrowArray, ArrowArrayStream, ArrowSchema
from skep.elf.reader import ElfFile


def watched(count: int = 1000) -> tuple[dict[str, Any], list[weakref.ref[Any]]]:
    """Return two arrays, and what tells whether they are still there."""
    arrays = {name: np.arange(count, dtype=np.uint64) for name in ("a", "b")}
    return arrays, [weakref.ref(array) for array in arrays.values()]


def alive(references: list[weakref.ref[Any]]) -> list[bool]:
    gc.collect()
    return [reference() is not None for reference in references]


def nested() -> tuple[Table, list[weakref.ref[Any]]]:
    arrays, references = watched()
    return Table.from_numpy(arrays), references


def test_capsules_that_nobody_takes_let_go_of_everything() -> None:
    table, references = nested()
    capsules = [table.__arrow_c_stream__(), table.__arrow_c_schema__(), *table.__arrow_c_array__()]
    assert [name_of(capsule) for capsule in capsules] == [
        b"arrow_array_stream",
        b"arrow_schema",
        b"arrow_schema",
        b"arrow_array",
    ]
    del table
    assert alive(references) == [True, True]
    capsules.clear()
    assert alive(references) == [False, False]


def test_a_struct_lives_until_its_reader_releases_it() -> None:
    table, references = nested()
    schema, array = table.__arrow_c_array__()
    mine = take(array, ArrowArray)
    del table, schema, array
    assert alive(references) == [True, True]
    assert [buffers(child)[1] for child in children(mine)] == [
        reference().ctypes.data  # type: ignore[union-attr]
        for reference in references
    ]
    release(mine)
    assert alive(references) == [False, False]


def test_a_child_that_was_moved_away_outlives_its_parent() -> None:
    table, references = nested()
    _, array = table.__arrow_c_array__()
    mine = take(array, ArrowArray)
    del table, _, array
    second = children(mine)[1]
    moved = ArrowArray.from_buffer_copy(second)
    second.release = None
    release(mine)
    assert alive(references) == [False, True]
    values = np.ctypeslib.as_array((np.ctypeslib.as_ctypes_type(np.uint64) * 3).from_address(
        buffers(moved)[1]
    ))  # fmt: skip
    assert values.tolist() == [0, 1, 2]
    release(moved)
    assert alive(references) == [False, False]


def test_what_was_taken_cannot_be_taken_again() -> None:
    table, references = nested()
    capsule = table.__arrow_c_stream__()
    assert pa.RecordBatchReader._import_from_c_capsule(capsule).read_all().num_rows == 1000
    with pytest.raises(pa.ArrowInvalid, match="released"):
        pa.RecordBatchReader._import_from_c_capsule(capsule)
    del capsule
    assert pa.table(table).num_rows == 1000  # the table itself can, any number of times
    del table
    assert alive(references) == [False, False]


def test_a_stream_gives_its_batches_then_the_end_then_lets_go() -> None:
    arrays, references = watched(3)
    field = Group("", [(Number("n", np.dtype(np.uint64)), 0, 8)])
    batches = [Column(3, children=[Column(3, [array])]) for array in arrays.values()]
    stream = take(stream_capsule(field, iter(batches)), ArrowArrayStream)
    del arrays, batches
    schema = schema_of(stream)
    assert schema.format == b"+s"
    assert [child.name for child in children(schema)] == [b"n"]
    release(schema)
    for _ in range(2):
        code, array = next_of(stream)
        assert (code, array.length) == (0, 3)
        release(array)
    code, array = next_of(stream)
    assert (code, array.release) == (0, None)
    assert last_error(stream) is None
    release(stream)
    assert alive(references) == [False, False]


def test_a_stream_that_fails_says_why() -> None:
    def broken() -> Any:
        yield Column(0, children=[Column(0, [np.empty(0, np.uint64)])])
        message = "the ring is closed"
        raise ValueError(message)

    field = Group("", [(Number("n", np.dtype(np.uint64)), 0, 8)])
    reader = pa.RecordBatchReader._import_from_c_capsule(stream_capsule(field, broken()))
    assert reader.read_next_batch().num_rows == 0
    with pytest.raises(OSError, match="ValueError: the ring is closed"):
        reader.read_next_batch()


@pytest.mark.parametrize(
    ("work", "kind", "said"),
    [
        (lambda table: table["nothing"], KeyError, "nothing"),
        (int, TypeError, "int"),
        (lambda table: table.nothing, AttributeError, "nothing"),
    ],
)
def test_release_leaves_a_pending_exception_alone(work: Any, kind: type, said: str) -> None:
    # The table is dropped while the exception is on its way: Python code called at that moment
    # would lose it, and readers abort the process when a struct is not released.
    table, references = nested()
    with pytest.raises(kind, match=said):
        work(pa.table(table))
    del table
    assert alive(references) == [False, False]


def test_structs_are_released_by_threads_that_python_does_not_know() -> None:
    table, references = nested()
    taken = [take(table.__arrow_c_array__()[1], ArrowArray) for _ in range(64)]
    del table

    def release_all(part: list[Any]) -> None:
        for one in part:
            release(one)

    threads = [threading.Thread(target=release_all, args=(taken[i::4],)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert alive(references) == [False, False]


def test_a_thousand_exports_leave_nothing() -> None:
    def blocks() -> int:
        gc.collect()
        return sys.getallocatedblocks()

    def export(times: int) -> None:
        table = Table.from_numpy({"a": np.arange(10), "b": np.array([b"x"] * 10)})
        for number in range(times):
            schema, array = table.__arrow_c_array__()
            if number % 3 == 0:
                release(take(array, ArrowArray))
            elif number % 3 == 1:
                release(take(schema, ArrowSchema))
            pa.table(table)

    export(1000)  # a free-threaded interpreter counts what its threads keep for later, too
    before = blocks()
    export(1000)
    assert blocks() - before < 500


AT_EXIT = """
import numpy, READER
from skep.arrow import Table
table = Table.from_numpy({"n": numpy.arange(1000)})
kept = [READER.TAKE(table), READER.TAKE(table), table.__arrow_c_stream__()]
kept.append(kept)  # a cycle, so that only the end of the interpreter frees it
print("done")
"""


@pytest.mark.parametrize(("reader", "taking"), [("pyarrow", "table"), ("polars", "DataFrame")])
def test_what_is_left_at_exit_does_no_harm(reader: str, taking: str) -> None:
    need_module(reader)
    code = AT_EXIT.replace("READER", reader).replace("TAKE", taking)
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


@pytest.mark.parametrize(("processor", "header"), machine_code.CODE)
def test_the_machine_code_is_what_the_compiler_makes(
    processor: str, header: int, tmp_path: Path
) -> None:
    source = Path(skep.arrow.__file__).with_name("release.c")
    made = tmp_path / "release.o"
    subprocess.run(
        [
            *(sys.executable, "-m", "ziglang", "cc", "-target", machine_code.TARGETS[processor]),
            *machine_code.FLAGS,
            *(f"-DHEADER={header}", "-c", str(source), "-o", str(made)),
        ],
        check=True,
    )
    elf = ElfFile.from_path(made)
    text = elf.section(".text")
    assert text is not None
    offsets, code = machine_code.CODE[processor, header]
    assert base64.b64encode(bytes(elf.data(text))).decode() == code
    found = {symbol.name: symbol.value for symbol in elf.symbols}
    assert tuple(found[name] for name in machine_code.FUNCTIONS) == offsets
    assert elf.section(".rela.text") is None


def test_sub_interpreters_are_refused() -> None:
    """The code of `release.c` would wait there for the lock of the main interpreter, for ever."""
    # Not with NumPy, which some versions of Python let nobody import there.
    code = "from skep.arrow.callbacks import code; code()"
    # Before 3.13 it raises what was raised inside, since then it returns that. With the main
    # interpreter's lock: 3.12 and later have others, too, in which ctypes may not be imported.
    made = "isolated=False" if sys.version_info < (3, 13) else "'legacy'"
    program = f"import {_INTERPRETERS} as inner\nmade = inner.create({made})\n"
    program += f"print(inner.run_string(made, {code!r}))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert "columns cannot be exported in a sub-interpreter" in done.stdout + done.stderr


_INTERPRETERS = "_xxsubinterpreters" if sys.version_info < (3, 13) else "_interpreters"
