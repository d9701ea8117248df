"""The six ways to misread a map in silence, each provoked for real, and what skep says.

docs/misreadings.md shows them to people; here is what must not change about it.
"""

from __future__ import annotations

import ctypes
import gc
import io
import json
import warnings
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

import pytest

from skep import Map, Object, ObjectSpec, cli
from skep.errors import ClosedError, MissingKeyError, TypeMismatchError
from skep.kernel import bpf
from skep.kernel.constants import MapType
from skep.kernel.cpus import possible_cpus
from skep.maps.spec import MapSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compiling import CompileBpf

SOURCE = r"""
#include <skep/bpf.h>
char LICENSE[] SEC("license") = "GPL";

struct flow { __u32 number; __u16 port; };
struct careless { __u16 port; __u32 packets; };
struct careful { __be16 port; __u32 packets; };
struct sample { __u8 kind; __u64 bytes; } MAYBE_PACKED;

#define HASH(name, k, v) struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 64); \
    __type(key, k); __type(value, v); } name SEC(".maps")
HASH(mis_flows, struct flow, __u64);
HASH(mis_clean, struct flow, __u64);
HASH(mis_careless, __u32, struct careless);
HASH(mis_careful, __u32, struct careful);
HASH(mis_samples, __u32, struct sample);
HASH(mis_errors, __u32, __u64);
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, 1);
    __type(key, __u32); __type(value, __u64);
} mis_packets SEC(".maps");

static __always_inline void store(__u32 index, __u16 port)
{
    struct careless careless = {bpf_htons(port), index};
    struct careful careful = {bpf_htons(port), index};
    struct sample sample = {index, 4096};
    struct flow flow;
    __u64 one = 1;

    __builtin_memset(&flow, 0xaa, sizeof(flow)); /* what was on the stack */
    flow.number = 7;
    flow.port = port;
    bpf_map_update_elem(&mis_flows, &flow, &one, BPF_ANY);
    __builtin_memset(&flow, 0, sizeof(flow));
    flow.number = 7;
    flow.port = port;
    bpf_map_update_elem(&mis_clean, &flow, &one, BPF_ANY);
    bpf_map_update_elem(&mis_careless, &index, &careless, BPF_ANY);
    bpf_map_update_elem(&mis_careful, &index, &careful, BPF_ANY);
    bpf_map_update_elem(&mis_samples, &index, &sample, BPF_ANY);
}

SEC("raw_tp/sys_enter")
int fill(void *ctx)
{
    __u64 none = 0, *count;
    __u32 first = 0;

    store(0, 22);
    store(1, 80);
    store(2, 443);
    bpf_map_update_elem(&mis_errors, &first, &none, BPF_ANY);
    count = bpf_map_lookup_elem(&mis_packets, &first);
    if (count)
        *count += 3;
    return 0;
}
"""
PACKED = SOURCE.replace("MAYBE_PACKED", "__attribute__((packed))")
NATURAL = SOURCE.replace("MAYBE_PACKED", "")


@pytest.fixture
def live(compile_bpf: CompileBpf) -> Iterator[Object]:
    with ObjectSpec.from_file(str(compile_bpf(PACKED))).load() as made:
        assert made.programs["fill"].test_run().retval == 0
        yield made


def check(map: str, *arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Run ``skep map check``; return its status and the findings by code."""
    out = io.StringIO()
    with redirect_stdout(out):
        status = cli.run(["map", "check", map, *arguments, "--json"])
    return status, {one["code"]: one for one in json.loads(out.getvalue())["findings"]}


def test_a_key_whose_padding_differs(live: Object) -> None:
    """The members are right and the lookup fails: the error says what to suspect."""
    flows = live.maps["mis_flows"]
    assert sorted(flows) == [(7, 22), (7, 80), (7, 443)]
    with pytest.raises(MissingKeyError) as caught:
        flows[7, 22]
    assert caught.value.hint.startswith("its keys have 2 bytes of padding")
    assert "skep map check mis_flows" in caught.value.hint
    status, found = check("mis_flows")
    assert status == 1
    assert found["key-padding"]["evidence"]["count"] == 3
    assert sorted(found["key-padding"]["evidence"]["keys"]) == sorted(
        f"07000000{port}aaaa" for port in ("1600", "5000", "bb01")
    )
    # What Python writes has zeros there, and so has a program that zeroes its key.
    clean = live.maps["mis_clean"]
    assert clean[7, 22] == 1
    clean[7, 23] = 2
    assert bpf.map_lookup(clean.fd, bytes.fromhex("0700000017000000"), bytearray(8))
    assert check("mis_clean") == (0, {})


def test_a_big_endian_field_read_as_little(live: Object) -> None:
    careful, careless = live.maps["mis_careful"], live.maps["mis_careless"]
    assert [careful[i].port for i in range(3)] == [22, 80, 443]
    assert [careless[i].port for i in range(3)] == [5632, 20480, 47873]
    told = careless.bind(byteorder={"port": "big"})
    assert [told[i].port for i in range(3)] == [22, 80, 443]
    assert check("mis_careful") == (0, {})
    status, found = check("mis_careless")
    assert (status, list(found)) == (1, ["looks-swapped"])
    assert "443 as big-endian" in found["looks-swapped"]["text"]
    # Two declarations that contradict each other are no guess.
    status, found = check("mis_careful", "--type", "struct careless")
    assert found["byte-order"]["evidence"] == {"role": "value", "field": "port"}


def test_a_struct_packed_on_one_side_only(live: Object, compile_bpf: CompileBpf) -> None:
    class Natural(ctypes.Structure):
        _fields_ = [("kind", ctypes.c_uint8), ("bytes", ctypes.c_uint64)]

    class Packed(ctypes.Structure):
        _pack_ = 1
        _layout_ = "ms"  # Python 3.14 wants it said
        _fields_ = [("kind", ctypes.c_uint8), ("bytes", ctypes.c_uint64)]

    samples = live.maps["mis_samples"]
    with pytest.raises(TypeMismatchError) as caught:
        samples.bind(value=Natural)
    assert "mis_samples" in str(caught.value)
    assert "struct sample" in caught.value.expected_layout[0]
    assert any("hole" in line for line in caught.value.given_layout)
    assert "_pack_ = 1" in str(caught.value)
    found = samples.bind(value=Packed)[2]
    assert (found.kind, found.bytes) == (2, 4096)
    status, said = check("mis_samples", "--object", str(compile_bpf(NATURAL)))
    assert status == 1
    assert said["object"]["text"] == "its value size is 9, the object's map 'mis_samples' has 16"
    assert "packed" in said["object"]["hint"]
    assert any("(hole)" in line for line in said["object"]["lines"])
    status, said = check(
        "mis_samples", "--type", "struct sample", "--object", str(compile_bpf(NATURAL))
    )
    assert said["size"]["evidence"] == {"role": "value", "expected": 9, "given": 16}


def test_a_map_closed_by_the_garbage_collector(live: Object) -> None:
    errors = live.maps["mis_errors"]

    def forgetful() -> Any:
        return Map.from_id(errors.id)[0]

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert forgetful() == 0
        gc.collect()
    (warning,) = said
    assert warning.category is ResourceWarning
    assert "mis_errors" in str(warning.message)
    assert f"{__file__}:" in str(warning.message)
    # What is closed says so, and what was opened in its place is not read by mistake.
    spec = MapSpec(name="mis_brief", type=MapType.ARRAY, key_size=4, value_size=8, max_entries=1)
    with spec.create() as brief:
        id, number = brief.id, brief.fileno()
    with spec.copy(name="mis_next").create() as other:
        assert other.fileno() >= 0
        with pytest.raises(ClosedError, match="map 'mis_brief' is closed"):
            brief[0]
    assert number >= 0
    status, found = check(str(id))
    assert (status, list(found)) == (1, ["gone"])


def test_a_nil_that_may_mean_absent_or_zero(live: Object) -> None:
    errors = live.maps["mis_errors"]
    assert errors[0] == 0
    assert 0 in errors
    assert 1 not in errors
    with pytest.raises(KeyError):
        errors[1]
    assert (errors.get(0), errors.get(1), errors.get(1, -1)) == (0, None, -1)
    status, found = check("mis_errors")
    assert (status, list(found)) == (0, ["zeros"])
    assert "stored values, not missing keys" in found["zeros"]["text"]
    out = io.StringIO()
    with redirect_stdout(out):
        assert cli.run(["map", "lookup", "mis_errors", "0"]) == 0
        assert cli.run(["map", "lookup", "mis_errors", "1"]) == 1
    assert out.getvalue() == "0\n"


def test_a_per_cpu_value_read_as_one(live: Object) -> None:
    packets, cpus = live.maps["mis_packets"], possible_cpus()
    value = packets[0]
    assert isinstance(value, tuple)
    assert (len(value), sum(value)) == (cpus, 3)
    with pytest.raises(TypeMismatchError, match=f"{cpus} values, one for each CPU"):
        packets[0] = 3
    status, found = check("mis_packets")
    assert (status, list(found)) == (0, ["cpus"])
    assert found["cpus"]["evidence"] == {"cpus": cpus, "slot": 8}
    out = io.StringIO()
    with redirect_stdout(out):
        assert cli.run(["map", "lookup", "mis_packets", "0"]) == 0
    assert out.getvalue() == "3\n"
