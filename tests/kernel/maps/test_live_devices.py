"""Device and CPU maps: what is stored is what real XDP programs redirect to."""

from __future__ import annotations

import os
import socket
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest
from map_subjects import program
from net_namespace import in_namespace, veth

import skep
from skep.errors import (
    KeyPresentError,
    MissingKeyError,
    NotFoundError,
    RangeError,
    TypeMismatchError,
    UnsupportedError,
)
from skep.kernel import bpf
from skep.kernel.constants import AttachType, MapType, TestRunFlags
from skep.kernel.cpus import possible_cpus
from skep.maps import CpuMap, DeviceMap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from compiling import CompileBpf

SOURCE = r"""// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <skep/bpf.h>

char LICENSE[] SEC("license") = "GPL";

struct bpf_devmap_val { __u32 ifindex; union { int fd; __u32 id; } bpf_prog; };
struct bpf_cpumap_val { __u32 qsize; union { int fd; __u32 id; } bpf_prog; };

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct bpf_devmap_val);
} devices SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CPUMAP);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct bpf_cpumap_val);
} cpus SEC(".maps");

__u64 left, arrived, received;

SEC("xdp")
int to_device(struct xdp_md *ctx)
{
	return bpf_redirect_map(&devices, 1, XDP_DROP);
}

SEC("xdp")
int to_cpu(struct xdp_md *ctx)
{
	return bpf_redirect_map(&cpus, 0, XDP_DROP);
}

SEC("xdp/devmap")
int on_leave(struct xdp_md *ctx)
{
	__sync_fetch_and_add(&left, 1);
	return XDP_PASS;
}

SEC("xdp")
int receives(struct xdp_md *ctx)
{
	__u8 *data = (void *) (long) ctx->data;

	/* Ours are zeros; the kernel itself sends IPv6 over a new interface. */
	if (data + 14 <= (__u8 *) (long) ctx->data_end && !data[12] && !data[13])
		__sync_fetch_and_add(&received, 1);
	return XDP_DROP;
}

SEC("xdp/cpumap")
int on_arrival(struct xdp_md *ctx)
{
	__sync_fetch_and_add(&arrived, 1);
	return XDP_DROP;
}
"""
DROP, REDIRECT = 1, 4
LO = 1
PATIENCE = 30.0


def reaches(live: skep.Object, name: str, number: int) -> bool:
    """Wait for a counter of the programs."""
    until = monotonic() + PATIENCE
    while live.variables[name].value < number and monotonic() < until:
        os.sched_yield()
    return bool(live.variables[name].value == number)


@pytest.fixture
def devices() -> Iterator[Callable[..., Any]]:
    made = []

    def devices(type: MapType = MapType.DEVMAP, **options: Any) -> Any:
        made.append(skep.MapSpec(name="devices", type=type, max_entries=4, **options).create())
        return made[-1]

    yield devices
    for live in made:
        live.close()


def test_frames_go_to_the_device_by_its_program(compile_bpf: CompileBpf) -> None:
    path = compile_bpf(SOURCE)

    def act() -> tuple[Any, ...]:
        veth("skep-a", "skep-b")
        with skep.ObjectSpec.from_file(path).load() as live:
            devices: Any = live.maps["devices"]
            sends, leaves = live.programs["to_device"], live.programs["on_leave"]
            before = sends.test_run().retval
            # A veth takes redirected frames when its peer runs a program.
            peer = socket.if_nametoindex("skep-b")
            link = bpf.link_create(live.programs["receives"].fd, peer, AttachType.XDP)
            devices[1] = "skep-a", leaves
            entry = devices[1]
            after = sends.test_run().retval
            sends.test_run(repeat=8, flags=TestRunFlags.XDP_LIVE_FRAMES)
            assert reaches(live, "left", 8)
            assert reaches(live, "received", 8)
            link.close()
            assert entry.ifindex == socket.if_nametoindex("skep-a")
            assert (entry.interface, entry.program) == ("skep-a", leaves.info.id)
            return before, after, [*devices], devices.count()

    assert in_namespace(act) == (DROP, REDIRECT, [1], 1)


def test_frames_go_to_the_cpu_by_its_program(compile_bpf: CompileBpf) -> None:
    with skep.ObjectSpec.from_file(compile_bpf(SOURCE)).load() as live:
        cpus: Any = live.maps["cpus"]
        assert isinstance(cpus, CpuMap)
        sends, arrives = live.programs["to_cpu"], live.programs["on_arrival"]
        assert sends.test_run().retval == DROP
        cpus[0] = {"qsize": 64, "program": arrives}
        assert cpus[0] == (64, arrives.info.id)
        assert (cpus[0].qsize, cpus[0].program) == (64, arrives.info.id)
        assert sends.test_run().retval == REDIRECT
        before = live.variables["arrived"].value
        sends.test_run(repeat=8, flags=TestRunFlags.XDP_LIVE_FRAMES)
        assert reaches(live, "arrived", before + 8)


@pytest.mark.parametrize("type", [MapType.DEVMAP, MapType.DEVMAP_HASH])
def test_items(devices: Callable[..., Any], type: MapType) -> None:
    live = devices(type)
    assert isinstance(live, DeviceMap)
    assert [*live.items()] == []
    assert 1 not in live
    with pytest.raises(MissingKeyError, match="'devices' has no key 1"):
        _ = live[1]
    with pytest.raises(MissingKeyError):
        del live[1]
    with pytest.raises(MissingKeyError):
        live.replace(1, "lo")
    live[1] = "lo"
    live[3] = LO
    assert dict(live.items()) == {1: (LO, 0), 3: (LO, 0)}
    assert live.setdefault(1, 99) == (LO, 0)
    assert live.setdefault(2, "lo").interface == "lo"
    live.replace(1, LO)
    keys, values = live.read()
    assert sorted(keys.tolist()) == [1, 2, 3]
    assert values["ifindex"].tolist() == [LO] * 3
    assert live.pop(1).ifindex == LO
    assert live.pop(1, None) is None
    assert live.delete([0, 2, 3]) == 2
    live.update({0: "lo", 1: ("lo", None)})
    assert live.count() == 2
    live.clear()
    assert live.count() == 0


def test_only_the_hash_can_insert(devices: Callable[..., Any]) -> None:
    with pytest.raises(UnsupportedError, match="only if it is empty"):
        devices().insert(1, "lo")
    hashed = devices(MapType.DEVMAP_HASH)
    hashed.insert(1 << 31, "lo")
    with pytest.raises(KeyPresentError):
        hashed.insert(1 << 31, "lo")
    assert [*hashed] == [1 << 31]


def test_interfaces_are_those_of_this_network_namespace(devices: Callable[..., Any]) -> None:
    live = devices()
    with pytest.raises(NotFoundError, match="no network interface 'loo' in the network") as caught:
        live[0] = "loo"
    assert caught.value.hint == "did you mean lo?"
    with pytest.raises(NotFoundError, match="no network interface 9999 in the network namespace"):
        live[0] = 9999

    def act() -> tuple[list[str], str]:
        veth("skep-a", "skep-b")
        live[0] = "skep-a"
        with pytest.raises(NotFoundError) as missing:
            live[1] = "no-such-one"
        return [name for _, name in socket.if_nameindex()], missing.value.hint

    there, hint = in_namespace(act)
    assert hint == f"it has {', '.join(there)}"
    with pytest.raises(NotFoundError, match="no network interface 'skep-a' in the network"):
        live[1] = "skep-a"


def test_values_that_are_none(devices: Callable[..., Any]) -> None:
    live = devices()
    for value in (1.5, None, ("lo",), ("lo", "program"), {"index": 1}, ("lo", -3), True):
        with pytest.raises(TypeMismatchError, match="'devices', value"):
            live[0] = value
    with pytest.raises(RangeError, match="0 is not the number of a network interface") as caught:
        live[0] = 0
    assert "del m[key]" in caught.value.hint
    with pytest.raises(MissingKeyError, match="'devices' has 4 entries: no index 4"):
        live[4] = "lo"
    with program() as plain:
        with pytest.raises(TypeMismatchError, match="does not take <Program 'passes'") as wrong:
            live[0] = "lo", plain
        assert 'SEC("xdp/devmap")' in wrong.value.hint
    short = devices(key_size=4, value_size=4)
    with program() as plain, pytest.raises(TypeMismatchError, match="no room for a program"):
        short[0] = "lo", plain
    short[0] = "lo"
    assert short[0] == LO


def test_cpus() -> None:
    live: Any = skep.MapSpec(name="cpus", type=MapType.CPUMAP, max_entries=256).create()
    with live:
        live[0] = 64
        assert dict(live.items()) == {0: (64, 0)}
        for wrong in (0, -1, 16385):
            with pytest.raises(RangeError, match=r"'cpus', value: expected .* 1 to 16384"):
                live[0] = wrong
        with pytest.raises(TypeMismatchError, match="'cpus', value"):
            live[0] = "many"
        with pytest.raises(NotFoundError, match=f"this machine has no CPU {possible_cpus()}"):
            live[possible_cpus()] = 64
        with pytest.raises(UnsupportedError):
            live.insert(0, 1)
        with program() as plain, pytest.raises(TypeMismatchError, match="does not take") as caught:
            live[0] = 64, plain
        assert 'SEC("xdp/cpumap")' in caught.value.hint
        del live[0]
        with pytest.raises(MissingKeyError):
            del live[0]
