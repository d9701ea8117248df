"""Every type of BTF and NumPy as an Arrow column, read back by pyarrow."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

import hypothesis.extra.numpy as numpy_strategies
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from needs import need_module

from skep.arrow import Table
from skep.arrow.describe import Choices, of_codec
from skep.btf.btf import Btf
from skep.btf.codec import codec
from skep.btf.types import Kind
from skep.errors import RangeError, TypeMismatchError, UnsupportedError

if TYPE_CHECKING:
    from compiling import CompileBpf

SOURCE = """// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <skep/bpf.h>

enum state { IDLE, BUSY = 5, GONE = -1 };
struct inner { __u8 mac[6]; __u32 grid[2][2]; };
struct all {
	__u8 u8; __s8 s8; __u16 u16; __s16 s16; __u32 u32; __s32 s32; __u64 u64; __s64 s64;
	_Bool yes;
	enum state state;
	char name[8];
	__u8 bytes[5];
	__be16 be16; __be32 be32; __be64 be64;
	void *pointer;
	__u64 numbers[3];
	struct inner inner;
	struct inner twice[2];
	__u32 low : 3, high : 13; __s32 minus : 5; __u64 wide : 51;
	union { __u32 word; __u8 parts[4]; };
	unsigned __int128 huge;
	__be32 saddr;
} __attribute__((packed));
struct all it;
struct { __u32 a : 7; __u64 b : 62; __s64 c : 60; } __attribute__((packed)) bits;
"""


@pytest.fixture(scope="module", params=["bpfel", "bpfeb"])
def btf(request: pytest.FixtureRequest, compile_bpf: CompileBpf) -> Btf:
    from skep.elf.reader import ElfFile

    elf = ElfFile.from_path(compile_bpf(SOURCE, target=request.param))
    section = elf.section(".BTF")
    assert section is not None
    return Btf.from_bytes(bytes(elf.data(section)))


def table(made: Any, data: np.ndarray[Any, Any], **choices: Any) -> Table:
    field = of_codec("it", made, Choices(rows=len(data), **choices))
    return Table([field], [field.column(data)])


def plain(value: Any) -> Any:
    """Return a value of a codec as pyarrow gives it."""
    if hasattr(value, "_fields"):
        return {name: plain(one) for name, one in zip(value._fields, value, strict=True)}
    if isinstance(value, tuple):
        return [plain(one) for one in value]
    if isinstance(value, (ipaddress.IPv4Address, ipaddress.IPv6Address)):
        return int(value)
    return value


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_columns_are_what_the_codec_reads(btf: Btf, data: st.DataObject) -> None:
    made = codec(btf, btf.find_type("all", Kind.STRUCT).id)
    rows = data.draw(
        numpy_strategies.arrays(np.uint8, st.tuples(st.integers(0, 5), st.just(made.size)))
    )
    read = pa.table(table(made, rows))
    read.validate(full=True)
    for row, found in zip(rows, read["it"].to_pylist(), strict=True):
        expected = plain(made.unpack(row.tobytes()))
        name = row.tobytes()[_offset(made, "name") :][:8].partition(b"\0")[0]
        expected["name"] = name.decode("utf-8", "backslashreplace")
        huge = row.tobytes()[_offset(made, "huge") :][:16]
        expected["huge"] = huge
        assert found == expected


def _offset(made: Any, name: str) -> int:
    found: int = next(field.offset for field in made.fields if field.name == name)
    return found


def test_every_type_has_the_arrow_type_it_should(btf: Btf) -> None:
    made = codec(btf, btf.find_type("all", Kind.STRUCT).id)
    struct = pa.schema(table(made, np.zeros((1, made.size), np.uint8)))[0].type
    found = {field.name: str(field.type).replace(" not null", "") for field in struct}
    assert found == {
        "u8": "uint8", "s8": "int8", "u16": "uint16", "s16": "int16", "u32": "uint32",
        "s32": "int32", "u64": "uint64", "s64": "int64", "yes": "bool", "state": "int32",
        "name": "string", "bytes": "fixed_size_binary[5]", "be16": "uint16", "be32": "uint32",
        "be64": "uint64", "pointer": "uint64", "numbers": "fixed_size_list<item: uint64>[3]",
        "inner": "struct<mac: fixed_size_binary[6],"
        " grid: fixed_size_list<item: fixed_size_list<item: uint32>[2]>[2]>",
        "twice": "fixed_size_list<item: struct<mac: fixed_size_binary[6],"
        " grid: fixed_size_list<item: fixed_size_list<item: uint32>[2]>[2]>>[2]",
        "low": "uint8", "high": "uint16", "minus": "int8", "wide": "uint64", "word": "uint32",
        "parts": "fixed_size_binary[4]", "huge": "fixed_size_binary[16]", "saddr": "uint32",
    }  # fmt: skip


def test_enums_are_numbers_or_names(btf: Btf) -> None:
    made = codec(btf, btf.find_type("state", Kind.ENUM).id)
    order: Any = btf.byteorder
    numbers = (5, 0, -1, 7, 5)
    data = b"".join(number.to_bytes(4, order, signed=True) for number in numbers)
    rows = np.frombuffer(data, np.uint8).reshape(-1, 4)
    assert pa.table(table(made, rows))["it"].to_pylist() == list(numbers)
    named = pa.table(table(made, rows, names=True))["it"]
    assert str(named.type).startswith("dictionary<values=string, indices=int32")
    assert named.to_pylist() == ["BUSY", "IDLE", "GONE", "7", "BUSY"]


STRUCTURED = np.dtype(
    [
        ("a", "u1"), ("b", ">u4"), ("c", "S8"), ("d", "u1", (6,)), ("e", "i2", (2, 3)),
        ("f", "?"), ("g", [("x", "f8"), ("y", ">f4")]), ("h", "V3"), ("i", "f2"),
    ]
)  # fmt: skip


SIZE = STRUCTURED.itemsize


@given(
    data=st.integers(0, 9).flatmap(
        lambda rows: st.binary(min_size=rows * SIZE, max_size=rows * SIZE)
    ),
    step=st.sampled_from([1, 3]),
)
def test_structured_arrays_become_tables(data: bytes, step: int) -> None:
    part = np.frombuffer(data, STRUCTURED)[::step]
    read = pa.table(Table.from_numpy(part))
    read.validate(full=True)
    assert read.column_names == list(STRUCTURED.names or ())
    for name in ("a", "b", "e", "f"):
        assert read[name].to_pylist() == part[name].tolist()
    for name in ("d", "h"):
        assert read[name].to_pylist() == [one.tobytes() for one in part[name]]
    texts = [one.partition(b"\0")[0].decode("utf-8", "backslashreplace") for one in part["c"]]
    assert read["c"].to_pylist() == texts
    np.testing.assert_array_equal([one["x"] for one in read["g"].to_pylist()], part["g"]["x"])
    np.testing.assert_array_equal([one["y"] for one in read["g"].to_pylist()], part["g"]["y"])


def test_text_is_utf8_and_binary_is_as_it_is() -> None:
    given = np.array([b"abc", b"", b"12345678", "é€".encode(), b"\xff\xfe", b"a\xe2\x82"], "S8")
    read = pa.table(Table.from_numpy({"t": given}))["t"]
    assert read.type == pa.string()
    assert read.to_pylist() == ["abc", "", "12345678", "é€", "\\xff\\xfe", "a\\xe2\\x82"]
    read = pa.table(Table.from_numpy({"t": given}, text="binary"))["t"]
    assert read.type == pa.binary()
    assert read.to_pylist() == given.tolist()


KEY, VALUE = np.arange(1_000_000, dtype=np.uint32), np.arange(1_000_000, dtype=np.uint64)
TOTAL = 499999500000


def test_a_million_rows_are_taken_without_copying() -> None:
    read = pa.table(Table.from_numpy({"key": KEY, "value": VALUE}))
    for name, array in (("key", KEY), ("value", VALUE)):
        chunk = read[name].chunk(0)
        assert chunk.buffers()[1].address == array.ctypes.data
        assert len(chunk) == 1_000_000


def test_pandas_takes_a_million_rows() -> None:
    pandas = need_module("pandas")
    frame = pandas.DataFrame.from_arrow(Table.from_numpy({"key": KEY, "value": VALUE}))
    assert frame["value"].sum() == TOTAL


def test_polars_takes_a_million_rows_without_copying() -> None:
    polars = need_module("polars")
    frame = polars.DataFrame(Table.from_numpy({"key": KEY, "value": VALUE}))
    assert frame["value"].to_numpy(allow_copy=False).ctypes.data == VALUE.ctypes.data
    empty = np.empty(0, STRUCTURED)[["a", "b", "c"]]
    assert polars.DataFrame(Table.from_numpy(empty)).shape == (0, 3)


def test_duckdb_takes_a_million_rows() -> None:
    duckdb = need_module("duckdb")
    million = Table.from_numpy({"key": KEY, "value": VALUE})
    assert len(million) == 1_000_000  # duckdb finds the variable by its name
    found = duckdb.sql("select count(*), sum(value) from million").fetchall()
    assert found == [(1_000_000, TOTAL)]


def test_a_table_without_rows_or_columns_is_one() -> None:
    empty = np.empty(0, STRUCTURED)
    assert pa.table(Table.from_numpy(empty)).num_rows == 0
    assert pa.table(Table([], [])).num_columns == 0


def test_columns_that_make_no_table_are_refused() -> None:
    with pytest.raises(TypeMismatchError, match="these have a 2, b 3"):
        Table.from_numpy({"a": np.arange(2), "b": np.arange(3)})
    with pytest.raises(UnsupportedError, match="column 'a': NumPy's complex128 has no Arrow type"):
        Table.from_numpy({"a": np.zeros(2, complex)})
    with pytest.raises(TypeMismatchError, match="structured array of one dimension"):
        Table.from_numpy(np.arange(3))
    with pytest.raises(RangeError, match="text is 'latin', expected 'utf8' or 'binary'"):
        Table.from_numpy({"a": np.arange(2)}, text="latin")


def test_a_name_that_is_no_utf8_is_escaped() -> None:
    table = Table.from_numpy({"a\udcfc": np.zeros(2)})
    assert pa.table(table).column_names == ["a\\xfc"]


def test_no_rows_text_of_no_length_and_lists_of_nothing() -> None:
    dtype = np.dtype([("s", "S0"), ("none", "u4", 0), ("in", [("x", "?"), ("t", "S3", 2)], (2, 2))])
    for rows in (0, 3):
        batch = pa.record_batch(Table.from_numpy(np.zeros(rows, dtype)))
        batch.validate(full=True)
        assert batch.to_pylist() == rows * [
            {"s": "", "none": [], "in": 2 * [2 * [{"x": False, "t": ["", ""]}]]}
        ]


def test_text_that_may_need_wide_offsets_has_them() -> None:
    field = of_codec_of_text(1 << 20, rows=1 << 11)
    column = field.column(np.zeros((2, 1 << 20), np.uint8))
    batch = pa.record_batch(Table([field], [column]))
    batch.validate(full=True)
    assert batch.schema.field(0).type == pa.large_utf8()
    assert of_codec_of_text(1 << 20, rows=1 << 10).format == "u"


def of_codec_of_text(size: int, *, rows: int) -> Any:
    from skep.arrow.describe import of_dtype

    return of_dtype("text", np.dtype(f"S{size}"), Choices(rows=rows))


def test_a_column_has_a_dimension() -> None:
    with pytest.raises(TypeMismatchError, match="expected an array with a dimension"):
        Table.from_numpy({"x": np.array(3)})
