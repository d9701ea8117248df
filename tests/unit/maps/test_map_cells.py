"""Keys and values as bytes and as columns, without a kernel."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.btf.btf import Btf
from skep.btf.writer import Builder
from skep.errors import RangeError, TypeMismatchError
from skep.kernel.constants import MapType
from skep.kernel.cpus import possible_cpus
from skep.maps.cells import Cells, Index, PerCpu
from skep.maps.spec import MapSpec, kernel_name


def typed(kind: MapType = MapType.HASH) -> MapSpec:
    """A map of ``u32`` to ``struct { u32 a; u64 slots[3]; u16 b; }``, 40 bytes."""
    builder = Builder()
    u16, u32 = builder.int("unsigned short", 2), builder.int("unsigned int", 4)
    u64 = builder.int("unsigned long long", 8)
    slots = builder.array(u64, 3, u32)
    members = [("a", u32, 0), ("slots", slots, 64), ("b", u16, 256)]
    value = builder.struct("value", 40, members)
    return MapSpec(
        name="m",
        type=kind,
        key_size=4,
        value_size=40,
        max_entries=8,
        btf=Btf.from_bytes(builder.build()),
        key_type_id=u32,
        value_type_id=value,
    )


def scalars(size: int, kind: MapType = MapType.HASH, length: int = 0) -> MapSpec:
    """A map of ``u32`` to an unsigned integer of *size* bytes, or an array of them."""
    builder = Builder()
    u32, value = builder.int("unsigned int", 4), builder.int("value", size)
    if length:
        value = builder.array(value, length, u32)
    return MapSpec(
        name="m",
        type=kind,
        key_size=4,
        value_size=size * (length or 1),
        max_entries=8,
        btf=Btf.from_bytes(builder.build()),
        key_type_id=u32,
        value_type_id=value,
    )


@given(st.integers(0, 2**32 - 1))
def test_an_index_is_a_u32_in_the_machine_s_order(index: int) -> None:
    packed = Index().pack(index)
    assert packed == index.to_bytes(4, sys.byteorder)
    assert Index().unpack(b"x" + packed, 1) == index


@pytest.mark.parametrize("index", [-1, 2**32])
def test_an_index_out_of_range_is_named(index: int) -> None:
    with pytest.raises(RangeError, match=f"{index} is not an array index"):
        Index().pack(index)


def test_a_text_is_no_index() -> None:
    with pytest.raises(TypeMismatchError, match="an integer, not str"):
        Index().pack("3")


@given(st.integers(1, 40), st.integers(1, 9), st.data())
def test_per_cpu_values_lie_in_slots_of_eight_bytes(
    size: int, cpus: int, data: st.DataObject
) -> None:
    from skep.btf.codec import raw_codec

    values = data.draw(st.tuples(*[st.binary(min_size=size, max_size=size)] * cpus))
    cell = PerCpu(raw_codec(size), cpus)
    packed = cell.pack(values)
    slot = (size + 7) // 8 * 8
    assert len(packed) == cell.size == slot * cpus
    for cpu, value in enumerate(values):
        assert packed[cpu * slot : (cpu + 1) * slot] == value.ljust(slot, b"\0")
    assert cell.unpack(b"12345678" + packed, 8) == values


def test_a_per_cpu_value_needs_one_for_each_cpu() -> None:
    from skep.btf.codec import raw_codec

    cell = PerCpu(raw_codec(4), 4)
    with pytest.raises(TypeMismatchError, match="sequence of 4 values, one for each CPU, not 3"):
        cell.pack([b"1234"] * 3)
    with pytest.raises(TypeMismatchError, match="sequence of 4 values"):
        cell.pack(7)
    with pytest.raises(TypeMismatchError, match=r"^\[2\]: 4 bytes takes exactly 4") as caught:
        cell.pack([b"1234", b"1234", b"12", b""])
    assert (caught.value.field, caught.value.given) == ("[2]", b"12")


def test_without_btf_values_are_bytes_of_the_exact_size() -> None:
    spec = MapSpec(name="m", type=MapType.HASH, key_size=4, value_size=3, max_entries=1)
    cells = Cells(spec)
    assert cells.value.pack(b"abc") == b"abc"
    with pytest.raises(TypeMismatchError):
        cells.value.pack(b"abcd")
    with pytest.raises(TypeMismatchError):
        cells.key.pack(5)
    assert cells.key_column(b"11112222", 2).tobytes() == b"11112222"


def test_a_type_of_another_size_than_the_map_s_is_refused() -> None:
    spec = typed().copy(value_size=44)
    with pytest.raises(
        TypeMismatchError, match="values are 44 bytes, but the declared type has 40"
    ):
        Cells(spec)


def test_struct_columns_take_and_give_the_same_bytes() -> None:
    cells = Cells(typed())
    record = {"a": 1, "slots": (2, 3, 4), "b": 5}
    data, rows = cells.pack_values([record, (6, (7, 8, 9), 10)])
    column = cells.value_column(bytearray(data), rows)
    assert column["a"].tolist() == [1, 6]
    assert column["slots"].tolist() == [[2, 3, 4], [7, 8, 9]]
    again, same = cells.pack_values(column)
    assert (bytes(again), same) == (data, 2)


def test_integer_columns_are_converted_when_every_number_fits() -> None:
    cells = Cells(scalars(2))
    packed, rows = cells.pack_values(np.array([1, 65535]))
    assert bytes(packed) == np.array([1, 65535], "u2").tobytes()
    assert rows == 2
    for wrong in (np.array([65536]), np.array([-1])):
        with pytest.raises(RangeError, match="do not all fit uint16"):
            cells.pack_values(wrong)
    with pytest.raises(TypeMismatchError, match="values are float64, expected uint16"):
        cells.pack_values(np.array([1.0]))
    with pytest.raises(TypeMismatchError, match="shape"):
        cells.pack_values(np.array([[1, 2]]))


def test_strided_columns_are_packed_row_by_row() -> None:
    cells = Cells(scalars(8))
    column = np.arange(10, dtype=np.uint64)[::2]
    packed, rows = cells.pack_values(column)
    assert (bytes(packed), rows) == (column.tobytes(), 5)


@pytest.mark.parametrize("size", [1, 2, 4, 8])
@pytest.mark.parametrize("length", [0, 3])
def test_per_cpu_columns_have_a_row_per_key_and_a_column_per_cpu(size: int, length: int) -> None:
    cells = Cells(scalars(size, MapType.PERCPU_HASH, length))
    cpus = possible_cpus()
    shape = (4, cpus, length) if length else (4, cpus)
    column = np.arange(np.prod(shape)).reshape(shape).astype(f"u{size}")
    packed, rows = cells.pack_values(column)
    slot = (size * (length or 1) + 7) // 8 * 8
    assert (len(packed), rows) == (4 * cpus * slot, 4)
    back = cells.value_column(packed, rows)
    assert back.dtype == column.dtype
    assert back.tolist() == column.tolist()
    first = cells.value.unpack(bytes(packed))
    assert [list(x) if length else x for x in first] == column[0].tolist()


def test_array_valued_columns_keep_their_shape() -> None:
    cells = Cells(scalars(8, length=3))
    column = np.arange(6, dtype="u8").reshape(2, 3)
    packed, rows = cells.pack_values(column)
    assert (bytes(packed), rows) == (column.tobytes(), 2)
    assert cells.value_column(packed, rows).tolist() == column.tolist()
    assert bytes(cells.pack_values(column.astype("i4"))[0]) == column.tobytes()


@given(st.text(max_size=40))
def test_every_name_becomes_one_the_kernel_takes(name: str) -> None:
    short = kernel_name(name)
    assert len(short) == min(len(name), 15)
    assert all(c.isascii() and (c.isalnum() or c in "_.") for c in short)


def test_a_copy_of_a_spec_shares_no_contents() -> None:
    spec = MapSpec(name="s", type=MapType.ARRAY, value_size=2, contents=bytearray(b"ab"))
    other = spec.copy(name="t")
    assert other.contents is not None
    other.contents[0] = 0
    assert (spec.name, spec.contents, other.name) == ("s", bytearray(b"ab"), "t")
