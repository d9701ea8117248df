"""Maps read as their C types say, against a program that writes and checks them in C.

Byte order, addresses, tags, enums, fields of the kernel's, and the classes that a map is bound to.
"""

from __future__ import annotations

import ctypes
import dataclasses
import enum
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
import pytest

import skep
from skep.errors import ClosedError, MissingKeyError, RangeError, TypeMismatchError
from skep.kernel.cpus import possible_cpus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from compiling import CompileBpf

    from skep.object.object import Object

SOURCE = """// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <skep/bpf.h>

char LICENSE[] SEC("license") = "GPL";

struct in_addr { __be32 s_addr; };
struct in6_addr { __u8 u6_addr8[16]; };
enum verdict { ACCEPT = 1, DROP = 2 };
enum tcp_state { ESTABLISHED = 1, LISTEN = 10 };
typedef __u64 counter_be SKEP_BIG;

struct flow {
	__be32 saddr;
	__u32 via SKEP_IPV4;
	struct in_addr gateway;
	__be32 mark;
	__be16 port;
	__u16 tagged SKEP_BIG;
	__u8 daddr6[16];
	struct in6_addr last;
	__be64 bytes;
	counter_be packets;
	__u64 host;
	__u16 low SKEP_LITTLE;
	__u8 state SKEP_ENUM(tcp_state);
	enum verdict verdict SKEP_NAMES;
	enum verdict number;
	__be16 ports[3];
	char comm[16];
};

struct narrow {
	enum verdict bits : 4;
	unsigned rest : 12;
};

struct key { __be32 saddr; __u8 kind; };
struct one { __be64 serial; };
struct locked { struct bpf_spin_lock lock; __u32 count; };

#define MAP(NAME, TYPE, KEY, VALUE) \\
	struct { \\
		__uint(type, BPF_MAP_TYPE_##TYPE); \\
		__uint(max_entries, 16); \\
		__type(key, KEY); \\
		__type(value, VALUE); \\
	} NAME SEC(".maps")

MAP(flows, HASH, struct key, struct flow);
MAP(ports, HASH, __be16, __be64);
MAP(ones, HASH, struct one, __u32);
MAP(per_cpu, PERCPU_ARRAY, __u32, struct key);
MAP(narrows, HASH, __u32, struct narrow);
MAP(locks, HASH, __u32, struct locked);

enum tcp_state used = LISTEN;
__u32 wrong;
__be32 server_addr;
__u16 listen SKEP_BIG = 0x5000;
enum verdict last SKEP_NAMES = DROP;

SEC("syscall")
int c_writes(void *ctx)
{
	struct key key = { .saddr = bpf_htonl(0x0a000001), .kind = 7 };
	struct flow flow = {
		.saddr = bpf_htonl(0x0a000001),
		.via = bpf_htonl(0xc0a80101),
		.gateway = { bpf_htonl(0x7f000001) },
		.mark = bpf_htonl(0x12345678),
		.port = bpf_htons(443),
		.tagged = bpf_htons(8080),
		.bytes = bpf_cpu_to_be64(0x0102030405060708),
		.packets = bpf_cpu_to_be64(1234567890123),
		.host = 99,
		.low = bpf_cpu_to_le16(515),
		.state = LISTEN,
		.verdict = DROP,
		.number = DROP,
		.ports = { bpf_htons(1), bpf_htons(2), bpf_htons(65535) },
		.comm = "swapper",
	};
	struct narrow narrow = { .bits = ACCEPT, .rest = 2000 };
	struct one one = { bpf_cpu_to_be64(42) };
	__be16 port = bpf_htons(80);
	__be64 bytes = bpf_cpu_to_be64(1000);
	__u32 value = 5;

	flow.daddr6[0] = 0xfe;
	flow.daddr6[1] = 0x80;
	flow.daddr6[15] = 1;
	flow.last.u6_addr8[15] = 1;
	bpf_map_update_elem(&flows, &key, &flow, BPF_ANY);
	bpf_map_update_elem(&ports, &port, &bytes, BPF_ANY);
	bpf_map_update_elem(&ones, &one, &value, BPF_ANY);
	bpf_map_update_elem(&narrows, &value, &narrow, BPF_ANY);
	return 0;
}

#define CHECK(CONDITION) if (!(CONDITION)) wrong |= 1 << __COUNTER__

SEC("syscall")
int c_reads(void *ctx)
{
	struct key key = { .saddr = bpf_htonl(0x0a000002), .kind = 8 };
	struct flow *flow = bpf_map_lookup_elem(&flows, &key);
	struct one one = { bpf_cpu_to_be64(43) };
	__be16 port = bpf_htons(81);
	__be64 *bytes = bpf_map_lookup_elem(&ports, &port);
	__u32 *value = bpf_map_lookup_elem(&ones, &one);

	if (!flow || !bytes || !value)
		return 1;
	wrong = 0;
	CHECK(flow->saddr == bpf_htonl(0x0a000002));
	CHECK(flow->via == bpf_htonl(0xc0a80102));
	CHECK(flow->gateway.s_addr == bpf_htonl(0x7f000002));
	CHECK(flow->mark == bpf_htonl(0x9abcdef0));
	CHECK(flow->port == bpf_htons(8443));
	CHECK(flow->tagged == bpf_htons(81));
	CHECK(flow->daddr6[0] == 0x20 && flow->daddr6[1] == 0x01 && flow->daddr6[15] == 2);
	CHECK(flow->last.u6_addr8[15] == 9);
	CHECK(flow->bytes == bpf_cpu_to_be64(77));
	CHECK(flow->packets == bpf_cpu_to_be64(78));
	CHECK(flow->host == 79);
	CHECK(flow->low == bpf_cpu_to_le16(300));
	CHECK(flow->state == ESTABLISHED);
	CHECK(flow->verdict == ACCEPT);
	CHECK(flow->number == ACCEPT);
	CHECK(flow->ports[0] == bpf_htons(7) && flow->ports[2] == bpf_htons(9));
	CHECK(flow->comm[0] == 'b' && flow->comm[4] == 0 && flow->comm[15] == 0);
	CHECK(*bytes == bpf_cpu_to_be64(1001));
	CHECK(*value == 6);
	return wrong;
}
"""


class Verdict(enum.IntEnum):
    ACCEPT = 1
    DROP = 2


class Key(skep.Record):
    saddr: IPv4Address
    kind: int


class Plain(skep.Record):
    """The flow with as little as possible made of its members, in another order."""

    comm: bytes
    saddr: Annotated[int, "be32"]
    via: int
    gateway: int
    mark: int
    port: Annotated[int, "be16"]
    tagged: int
    daddr6: bytes
    last: bytes
    bytes_: int
    packets: int
    host: int
    low: int
    state: int
    verdict: Verdict
    number: str
    ports: tuple[int, int, int]


class Narrow(skep.Record):
    bits: Verdict
    rest: int


@pytest.fixture(scope="module")
def path(compile_bpf: CompileBpf) -> Path:
    return compile_bpf(SOURCE)


@pytest.fixture
def obj(path: Path) -> Iterator[Object]:
    with skep.ObjectSpec.from_file(path).load() as obj:
        yield obj


@pytest.fixture
def written(obj: Object) -> Object:
    assert obj.programs["c_writes"].test_run().retval == 0
    return obj


FLOW = {
    "saddr": IPv4Address("10.0.0.1"),
    "via": IPv4Address("192.168.1.1"),
    "gateway": IPv4Address("127.0.0.1"),
    "mark": 0x12345678,
    "port": 443,
    "tagged": 8080,
    "daddr6": IPv6Address("fe80::1"),
    "last": IPv6Address("::1"),
    "bytes": 0x0102030405060708,
    "packets": 1234567890123,
    "host": 99,
    "low": 515,
    "state": "LISTEN",
    "verdict": "DROP",
    "number": 2,
    "ports": [1, 2, 65535],
    "comm": "swapper",
}


def test_what_c_writes_in_network_order_is_read_as_the_number(written: Object) -> None:
    flows = written.maps["flows"]
    key = next(iter(flows))
    assert key.asdict() == {"saddr": IPv4Address("10.0.0.1"), "kind": 7}
    assert flows[key].asdict() == FLOW
    assert dict(written.maps["ports"].items()) == {80: 1000}
    ((serial, value),) = written.maps["ones"].items()
    assert (serial.serial, value) == (42, 5)
    keys, values = flows.read()
    assert int(keys["saddr"][0]) == 0x0A000001
    assert {int(values["mark"][0]), int(values["port"][0])} == {0x12345678, 443}
    assert (int(values["tagged"][0]), int(values["packets"][0])) == (8080, 1234567890123)
    assert values["ports"].tolist() == [[1, 2, 65535]]
    assert int(values["via"][0]) == 0xC0A80101
    assert values["daddr6"][0].tobytes() == IPv6Address("fe80::1").packed


GIVEN: dict[str, Any] = {
    "saddr": "10.0.0.2",
    "via": IPv4Address("192.168.1.2"),
    "gateway": 0x7F000002,
    "mark": 0x9ABCDEF0,
    "port": 8443,
    "tagged": 81,
    "daddr6": "2001::2",
    "last": 9,
    "bytes": 77,
    "packets": 78,
    "host": 79,
    "low": 300,
    "state": "ESTABLISHED",
    "verdict": "ACCEPT",
    "number": "ACCEPT",
    "ports": (7, 8, 9),
    "comm": "bash",
}


def c_agrees(obj: Object) -> None:
    """Let the program compare all that it finds with what it expects, in C."""
    assert obj.programs["c_reads"].test_run().retval == 0
    assert obj.variables["wrong"].value == 0


def test_what_skep_writes_c_compares_in_network_order(obj: Object) -> None:
    obj.maps["flows"]["10.0.0.2", 8] = GIVEN
    obj.maps["ports"][81] = 1001
    obj.maps["ones"][43] = 6  # the only member of the key, as it is
    c_agrees(obj)
    obj.maps["ports"][81] = 1002
    assert obj.programs["c_reads"].test_run().retval == obj.variables["wrong"].value != 0


def test_the_padding_of_keys_is_zero_so_that_c_finds_them(obj: Object) -> None:
    flows = obj.maps["flows"]
    for key in (
        (IPv4Address("10.0.0.2"), 8),
        {"kind": 8, "saddr": 0x0A000002},
        Key(saddr=IPv4Address("10.0.0.2"), kind=8),
    ):
        flows[key] = GIVEN
        assert flows.count() == 1
    structure = native_key()
    padded = structure.from_buffer_copy(b"\x0a\0\0\2\x08\xff\xff\xff")
    bound = flows.bind(key=structure)
    bound[padded] = GIVEN
    assert flows.count() == 1
    assert bytes(next(iter(bound)))[5:] == bytes(3)
    obj.maps["ports"][81] = 1001
    obj.maps["ones"][{"serial": 43}] = 6
    c_agrees(obj)


def native_key() -> Any:
    class NativeKey(ctypes.Structure):
        _fields_ = (("saddr", ctypes.c_uint32.__ctype_be__), ("kind", ctypes.c_uint8))

    return NativeKey


def test_addresses_and_enums_can_be_numbers_or_names(written: Object) -> None:
    flows = written.maps["flows"]
    flow = flows.bind(enums="names", addresses=False)[0x0A000001, 7]
    assert (flow.saddr, flow.via, flow.gateway) == (0x0A000001, 0xC0A80101, (0x7F000001,))
    assert flow.daddr6 == IPv6Address("fe80::1").packed
    assert (flow.verdict, flow.number, flow.state) == ("DROP", "DROP", "LISTEN")
    assert flow.port == 443


def test_a_byte_order_of_the_caller_s_comes_first(written: Object) -> None:
    flows = written.maps["flows"]
    flow = flows.bind(byteorder={"port": "little", "host": "big", "low": "big"})["10.0.0.1", 7]
    assert (flow.port, flow.host, flow.low) == (0xBB01, 99 << 56, 0x0302)
    key = next(iter(flows.bind(byteorder={"key.saddr": "little"})))
    assert key.saddr == 0x0100000A
    ports = written.maps["ports"]
    assert dict(ports.bind(byteorder="little").items()) == {80: 0xE803000000000000}
    assert dict(ports.bind(byteorder={"key": "little"}).items()) == {0x5000: 1000}
    little = ports.bind(byteorder={"key": "little", "value": "little"})
    little[0x5100] = 0xE903000000000000
    assert ports[81] == 1001
    keys, values = little.read()
    assert sorted(zip(keys.tolist(), values.tolist(), strict=True)) == [
        (0x5000, 0xE803000000000000),
        (0x5100, 0xE903000000000000),
    ]


@pytest.mark.parametrize(
    ("byteorder", "error", "message"),
    [
        ({"prot": "big"}, TypeMismatchError, "'prot', which neither key nor value has"),
        ({"saddr": "big"}, TypeMismatchError, "'saddr', which key and value both have"),
        ({"comm": "big"}, TypeMismatchError, r"char\[16\]: it is not made of numbers"),
        ({"value.x": "big"}, TypeMismatchError, "struct flow: it has no member 'x'"),
        ({"port": "network order"}, RangeError, "byteorder of port is 'network order', expected"),
        ("big", TypeMismatchError, "struct flow: it is not one number"),
        ({"value.port.x": "big"}, TypeMismatchError, "__be16: it has no member 'x'"),
    ],
)
def test_a_byte_order_that_fits_nothing_is_refused(
    obj: Object, byteorder: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        obj.maps["flows"].bind(byteorder=byteorder)
    assert isinstance(caught.value, skep.SkepError)
    assert caught.value.hint or "expected" in str(caught.value)


def test_variables_are_tagged_and_named_as_members_are(path: Path) -> None:
    spec = skep.ObjectSpec.from_file(path)
    assert (spec.variables["listen"].value, spec.variables["last"].value) == (80, "DROP")
    spec.variables["server_addr"] = "10.0.0.1"
    with spec.load() as obj:
        server = obj.variables["server_addr"]
        assert server.value == IPv4Address("10.0.0.1")
        server.value = "10.0.0.2"
        obj.variables["listen"].value = 443
        obj.variables["last"].value = "ACCEPT"
        assert server.value == IPv4Address("10.0.0.2")
        assert (obj.variables["listen"].value, obj.variables["last"].value) == (443, "ACCEPT")


def test_a_record_class_says_what_becomes_of_each_member(written: Object) -> None:
    flows = written.maps["flows"].bind(Key, Plain)
    ((key, flow),) = flows.items()
    assert (type(key), type(flow)) == (Key, Plain)
    assert key == Key(IPv4Address("10.0.0.1"), 7)
    assert flow.comm == b"swapper".ljust(16, b"\0")
    assert (flow.saddr, flow.via, flow.gateway) == (0x0A000001, 0xC0A80101, 0x7F000001)
    assert (flow.verdict, flow.number) == (Verdict.DROP, "DROP")
    assert isinstance(flow.verdict, Verdict)
    assert flow.state == 10
    assert flow.ports == (1, 2, 65535)
    changed = flow.replace(
        saddr=0x0A000002, via=0xC0A80102, gateway=0x7F000002, mark=0x9ABCDEF0, port=8443, tagged=81,
        daddr6=IPv6Address("2001::2").packed, last=IPv6Address(9).packed, packets=78, host=79,
        low=300, state=1, verdict=Verdict.ACCEPT, number="ACCEPT", ports=(7, 8, 9),
        comm=b"bash".ljust(16, b"\0"), bytes_=77,
    )  # fmt: skip
    flows[Key(saddr=IPv4Address("10.0.0.2"), kind=8)] = changed
    written.maps["ports"][81] = 1001
    written.maps["ones"][43] = 6
    c_agrees(written)


def test_bit_fields_are_numbers_names_or_enums(written: Object) -> None:
    narrows = written.maps["narrows"]
    assert narrows[5].asdict() == {"bits": 1, "rest": 2000}
    assert narrows.bind(enums="names")[5] == ("ACCEPT", 2000)
    bound = narrows.bind(value=Narrow)
    assert bound[5] == Narrow(bits=Verdict.ACCEPT, rest=2000)
    assert isinstance(bound[5].bits, Verdict)
    narrows[6] = ("DROP", 4095)
    bound[7] = Narrow(Verdict.DROP, 4095)
    assert narrows[6] == narrows[7] == (2, 4095)
    with pytest.raises(RangeError, match="bits: enum verdict has no enumerator 'REJECT'"):
        narrows[6] = ("REJECT", 1)


@dataclasses.dataclass(frozen=True, slots=True)
class DataKey:
    kind: int
    saddr: IPv4Address


class NamedKey(NamedTuple):
    saddr: int
    kind: int


@pytest.mark.parametrize(
    ("wanted", "made"),
    [
        (DataKey, DataKey(7, IPv4Address("10.0.0.1"))),
        (NamedKey, NamedKey(0x0A000001, 7)),
        (Key, Key(kind=7, saddr=IPv4Address("10.0.0.1"))),
        (
            np.dtype([("saddr", ">u4"), ("kind", "u1")], align=True),
            np.array([(0x0A000001, 7)], np.dtype([("saddr", ">u4"), ("kind", "u1")], align=True))[
                0
            ],
        ),
    ],
    ids=["dataclass", "named tuple", "record", "dtype"],
)
def test_lookups_take_and_give_the_class_that_is_bound(
    written: Object, wanted: Any, made: Any
) -> None:
    flows = written.maps["flows"]
    bound = flows.bind(key=wanted)
    (key,) = bound
    assert type(key) is type(made)
    assert key == made
    assert bound[made].port == 443
    assert made in bound
    assert bound.read()[0].dtype.names == ("saddr", "kind")
    assert bound.pop(key).host == 99
    with pytest.raises(MissingKeyError):
        bound[key]


def test_ctypes_is_a_copy_that_can_be_changed_and_stored(written: Object) -> None:
    native = native_key()
    bound = written.maps["per_cpu"].bind(value=native)
    values = bound[3]
    assert len(values) == possible_cpus()
    for number, value in enumerate(values):
        value.saddr, value.kind = 0x01020304, number
    bound[3] = values
    assert written.maps["per_cpu"][3] == tuple(
        (IPv4Address("1.2.3.4"), number) for number in range(possible_cpus())
    )
    _, column = bound.read()
    assert column["kind"][3].tolist() == list(range(possible_cpus()))


def test_columns_have_the_dtype_that_is_bound(written: Object) -> None:
    dtype = np.dtype([("saddr", ">u4"), ("kind", "u1"), ("pad", "V3")])
    bound = written.maps["per_cpu"].bind(value=dtype)
    written.maps["per_cpu"][1] = [("1.2.3.4", 5)] * possible_cpus()
    _, values = bound.read()
    assert values.dtype == dtype
    assert values.shape == (16, possible_cpus())
    assert values["kind"][1].tolist() == [5] * possible_cpus()
    row = bound[1][0]
    assert isinstance(row, np.void)
    assert row.dtype == dtype
    assert int(row["saddr"]) == 0x01020304


def test_a_view_ends_with_its_map_and_not_the_other_way(obj: Object) -> None:
    flows = obj.maps["flows"]
    with flows.bind(key=Key) as bound:
        bound[Key(IPv4Address("10.0.0.9"), 1)] = GIVEN
    assert flows.count() == 1
    again = flows.bind(key=Key)
    obj.close()
    with pytest.raises(ClosedError):
        list(again)


def test_a_class_that_does_not_fit_is_refused_with_both_layouts(obj: Object) -> None:
    class Packed(ctypes.Structure):
        _pack_ = 1
        _layout_ = "ms"  # Python 3.14 wants it said
        _fields_ = (("count", ctypes.c_uint64), ("kind", ctypes.c_uint8))

    with pytest.raises(TypeMismatchError) as caught:
        obj.maps["flows"].bind(key=Packed)
    error = caught.value
    assert (error.map, error.role) == ("flows", "key")
    assert "map 'flows', key: " in error.message
    assert "saddr is missing" in error.message
    assert "add saddr" in error.hint
    assert any("saddr" in line for line in error.expected_layout)
    assert any("count" in line for line in error.given_layout)
    assert "struct key, 8 bytes" in str(error)


def test_a_lock_is_the_kernel_s_to_write(obj: Object) -> None:
    locks = obj.maps["locks"]
    for value in ({"count": 1}, (1,), 1, {"lock": (0,), "count": 1}, ((0,), 1)):
        locks[1] = value
        assert locks[1].count == 1
        del locks[1]

    class Locked(skep.Record):
        count: int

    bound = locks.bind(value=Locked)
    bound[2] = Locked(count=5)
    assert bound[2] == Locked(5)
    assert locks[2].asdict() == {"lock": {"val": 0}, "count": 5}


def test_the_wrong_shape_of_a_key_shows_what_was_given_and_what_is_expected(obj: Object) -> None:
    with pytest.raises(TypeMismatchError) as caught:
        obj.maps["flows"]["10.0.0.1",]
    assert str(caught.value).splitlines() == [
        "map 'flows', key: struct key has 2 members, 1 values given",
        "  struct key, 8 bytes       given: tuple",
        "     0    4  __be32 saddr   '10.0.0.1'",
        "!    4    1  __u8 kind    | (missing)",
    ]
    assert caught.value.given_layout == ["'10.0.0.1'", "(missing)"]
    with pytest.raises(TypeError, match="has no member 'sadr'"):
        obj.maps["flows"].get({"sadr": 1, "kind": 2})


def test_a_map_described_in_python_is_typed_in_the_kernel_too() -> None:
    spec = skep.MapSpec(name="described", type="hash", key=Declared, value="__be64", max_entries=4)
    with spec.create() as made:
        made["10.0.0.1", 80] = 5
        assert list(made) == [Declared(IPv4Address("10.0.0.1"), 80)]
        assert isinstance(next(iter(made)), Declared)
        with skep.Map.from_id(made.id) as again:
            ((key, value),) = again.items()
            assert repr(key) == "struct Declared {.saddr = IPv4Address('10.0.0.1'), .port = 80}"
            assert value == 5
            assert again.read()[1].dtype == np.dtype(">u8")


class Declared(skep.Record):
    saddr: Annotated[IPv4Address, "be32"]
    port: Annotated[int, "be16"]
