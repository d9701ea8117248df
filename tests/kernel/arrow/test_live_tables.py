"""Live maps as Arrow tables, read by PyArrow, pandas, Polars and DuckDB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from needs import EMULATED, need_module

import skep
from skep.arrow import Table
from skep.errors import ClosedError, RangeError, UnsupportedError
from skep.kernel.constants import MapType
from skep.kernel.cpus import possible_cpus
from skep.maps.spec import MapSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from compiling import CompileBpf

    Rows = list[tuple[int, int]]

CPUS = possible_cpus()

SOURCE = """// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <skep/bpf.h>

char LICENSE[] SEC("license") = "GPL";

enum state { IDLE, BUSY = 5 };
struct key { __u32 pid; char comm[16]; };
struct value {
	__u64 count;
	__u32 low : 3, high : 13;
	__be16 port;
	enum state state;
	_Bool on;
	struct { __u8 mac[6]; __u16 tags[2]; } inside;
	__u32 pid;
};

#define MAP(NAME, TYPE, KEY, VALUE, ENTRIES) \\
	struct { \\
		__uint(type, BPF_MAP_TYPE_##TYPE); \\
		__uint(max_entries, ENTRIES); \\
		__type(key, KEY); \\
		__type(value, VALUE); \\
	} NAME SEC(".maps")

MAP(structs, HASH, struct key, struct value, 100);
MAP(numbers, HASH, __u32, __u64, 100);
MAP(per_cpu, PERCPU_HASH, __u32, struct value, 100);
MAP(lru_per_cpu, LRU_PERCPU_HASH, __u32, __u32, 100);
MAP(array, ARRAY, __u32, __u16, 10);
MAP(per_cpu_array, PERCPU_ARRAY, __u32, __u64, 10);
"""


def by_pyarrow(pyarrow: Any, table: Table) -> Rows:
    columns = pyarrow.table(table).sort_by("key").to_pydict()
    return list(zip(columns["key"], columns["value"], strict=True))


def by_pandas(pandas: Any, table: Table) -> Rows:
    frame = pandas.DataFrame.from_arrow(table).sort_values("key")
    return list(frame.itertuples(index=False, name=None))


def by_polars(polars: Any, table: Table) -> Rows:
    rows: Rows = polars.DataFrame(table).sort("key").rows()
    return rows


def by_duckdb(duckdb: Any, counted: Table) -> Rows:
    assert len(counted)  # duckdb finds the variable by its name
    rows: Rows = duckdb.sql("select * from counted order by key").fetchall()
    return rows


# What reads a table knows nothing of the kernel it came from, so that in a guest the one will do
# that all tests here use. Polars and DuckDB would die there: they need AVX.
READERS = [by_pyarrow] if EMULATED else [by_pyarrow, by_pandas, by_polars, by_duckdb]


@pytest.fixture(scope="module", params=READERS)
def reader(request: pytest.FixtureRequest) -> Callable[[Table], Rows]:
    """What returns the rows of a table with the columns "key" and "value", one library's way.

    It has been used before the first test, to start the threads that it keeps, with descriptors.
    """
    read, name = request.param, request.param.__name__.removeprefix("by_")
    module = need_module(name)
    read(module, Table.from_numpy({"key": np.array([2, 1]), "value": np.array([3, 4])}))
    return lambda table: read(module, table)


@pytest.fixture
def live(compile_bpf: CompileBpf) -> Iterator[skep.Object]:
    with skep.ObjectSpec.from_file(str(compile_bpf(SOURCE))).load() as loaded:
        yield loaded


VALUE = {
    "count": 7, "low": 5, "high": 8000, "port": 443, "state": 5, "on": True,
    "inside": {"mac": b"abcdef", "tags": (1, 2)}, "pid": 9,
}  # fmt: skip
READ = {**VALUE, "inside": {"mac": b"abcdef", "tags": [1, 2]}}
del READ["pid"]  # the key has one, too


def test_a_map_is_a_table_of_its_members(live: skep.Object) -> None:
    structs = live.maps["structs"]
    structs[1, "init"] = VALUE
    table = structs.to_arrow()
    read = pa.table(table)
    read.validate(full=True)
    assert read.to_pylist() == [{"key.pid": 1, "comm": "init", **READ, "value.pid": 9}]
    assert table.names == ("key.pid", "comm", *READ, "value.pid")
    assert len(table) == 1
    named = pa.table(structs.to_arrow(enums="names", text="binary")).to_pylist()[0]
    assert (named["state"], named["comm"]) == ("BUSY", b"init")
    with pytest.raises(UnsupportedError, match="member low of struct value is a bit-field"):
        structs.read()


def test_a_map_is_taken_by_every_reader(live: skep.Object, reader: Callable[[Table], Rows]) -> None:
    numbers = live.maps["numbers"]
    numbers.update(range(10), range(0, 100, 10))
    assert reader(numbers.to_arrow()) == [(key, 10 * key) for key in range(10)]


@pytest.mark.parametrize("name", ["per_cpu", "per_cpu_array", "lru_per_cpu"])
def test_per_cpu_values_are_lists_or_rows(live: skep.Object, name: str) -> None:
    counts = live.maps[name]
    if name == "per_cpu":
        counts[3] = [{**VALUE, "count": cpu} for cpu in range(CPUS)]
        column = "count"
    else:
        counts[3] = list(range(CPUS))
        column = "value"
    lists = pa.table(counts.to_arrow())
    row = next(row for row in lists.to_pylist() if row["key"] == 3)
    assert row[column] == list(range(CPUS))
    rows = pa.table(counts.to_arrow(cpus="rows"))
    assert rows.num_rows == CPUS * lists.num_rows
    found = [(row["cpu"], row[column]) for row in rows.to_pylist() if row["key"] == 3]
    assert found == [(cpu, cpu) for cpu in range(CPUS)]
    if name == "per_cpu":
        assert row["port"] == [443] * CPUS
        assert row["inside"] == [READ["inside"]] * CPUS


def test_a_drained_table_is_what_was_there(live: skep.Object) -> None:
    numbers = live.maps["numbers"]
    numbers.update(range(10), range(10))
    assert sorted(pa.table(numbers.to_arrow(drain=True))["key"].to_pylist()) == list(range(10))
    assert numbers.count() == 0
    assert pa.table(numbers.to_arrow(drain=True)).num_rows == 0
    with pytest.raises(UnsupportedError, match="it is an array"):
        live.maps["array"].to_arrow(drain=True)
    choices: Any = {"cpus": "columns"}
    with pytest.raises(RangeError, match="cpus is 'columns', expected 'lists' or 'rows'"):
        numbers.to_arrow(**choices)


def test_a_table_outlives_its_map(live: skep.Object) -> None:
    live.maps["numbers"].update(range(10), range(10))
    table = live.maps["numbers"].to_arrow()
    live.close()
    assert sorted(pa.table(table)["key"].to_pylist()) == list(range(10))
    with pytest.raises(ClosedError):
        live.maps["numbers"].to_arrow()


def test_maps_without_types_are_bytes() -> None:
    spec = MapSpec(name="m", type=MapType.HASH, key_size=3, value_size=5, max_entries=5)
    with spec.create() as plain:
        plain[b"abc"] = b"12345"
        read = pa.table(plain.to_arrow())
        assert read.to_pylist() == [{"key": b"abc", "value": b"12345"}]
        assert read.schema.field("key").type == pa.binary(3)
