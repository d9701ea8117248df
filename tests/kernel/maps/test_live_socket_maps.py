"""Maps of sockets: what programs redirect to and choose from, and what the kernel takes."""

from __future__ import annotations

import operator
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import skep
from skep.errors import (
    ClosedError,
    KeyPresentError,
    MissingKeyError,
    TypeMismatchError,
    UnsupportedError,
)
from skep.kernel import bpf
from skep.kernel.constants import MapType
from skep.maps import ReuseportArray, SocketMap, XskMap, cookie

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from compiling import CompileBpf

AF_XDP = 44
SO_ATTACH_REUSEPORT_EBPF = 52  # include/uapi/asm-generic/socket.h
PASS, REDIRECT = 2, 4
LOCAL = "127.0.0.1"

SOURCE = r"""// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <skep/bpf.h>

char LICENSE[] SEC("license") = "GPL";

#define SOCKETS(NAME, TYPE, VALUE) \
	struct { \
		__uint(type, BPF_MAP_TYPE_##TYPE); \
		__uint(max_entries, 4); \
		__type(key, __u32); \
		__type(value, VALUE); \
	} NAME SEC(".maps")

SOCKETS(sockets, SOCKMAP, __u64);
SOCKETS(group, REUSEPORT_SOCKARRAY, __u64);
SOCKETS(xdp_sockets, XSKMAP, __u32);

SEC("sk_msg")
int diverts(struct sk_msg_md *msg)
{
	return bpf_msg_redirect_map(msg, &sockets, 1, BPF_F_INGRESS);
}

SEC("sk_reuseport")
int chooses(struct sk_reuseport_md *ctx)
{
	__u32 key = 3;

	return bpf_sk_select_reuseport(ctx, &group, &key, 0) ? SK_DROP : SK_PASS;
}

SEC("xdp")
int to_socket(struct xdp_md *ctx)
{
	return bpf_redirect_map(&xdp_sockets, 2, XDP_PASS);
}
"""


@pytest.fixture
def made() -> Iterator[Callable[..., Any]]:
    with ExitStack() as stack:

        def made(type: MapType, **options: Any) -> Any:
            spec = skep.MapSpec(name="sockets", type=type, max_entries=4, **options)
            return stack.enter_context(spec.create())

        yield made


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Close the sockets of a test at its end."""
    with ExitStack() as stack:
        yield stack


def connected(stack: ExitStack) -> tuple[socket.socket, socket.socket]:
    with socket.create_server((LOCAL, 0)) as server:
        client = stack.enter_context(socket.create_connection(server.getsockname(), 10))
        served, _ = server.accept()
    served.settimeout(10)
    return client, stack.enter_context(served)


def udp(stack: ExitStack, *, reuse: bool = True, port: int = 0) -> socket.socket:
    one = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
    one.settimeout(10)
    if reuse:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    one.bind((LOCAL, port))
    return one


def test_a_message_is_diverted(compile_bpf: CompileBpf, stack: ExitStack) -> None:
    with skep.ObjectSpec.from_file(compile_bpf(SOURCE)).load() as live:
        sockets: Any = live.maps["sockets"]
        assert isinstance(sockets, SocketMap)
        program = live.programs["diverts"]
        bpf.prog_attach(program.fd, sockets.fd, program.expected_attach_type)
        (first, _), (second, _) = connected(stack), connected(stack)
        sockets[0], sockets[1] = first, second.fileno()
        assert dict(sockets.items()) == {0: cookie(first), 1: cookie(second)}
        first.sendall(b"diverted")
        assert second.recv(100) == b"diverted"
        del sockets[0], sockets[1]
        bpf.prog_detach(program.fd, sockets.fd, program.expected_attach_type)


def test_a_socket_of_the_group_is_chosen(compile_bpf: CompileBpf, stack: ExitStack) -> None:
    with skep.ObjectSpec.from_file(compile_bpf(SOURCE)).load() as live:
        group: Any = live.maps["group"]
        assert isinstance(group, ReuseportArray)
        first = udp(stack)
        second = udp(stack, port=first.getsockname()[1])
        group[3] = second
        program = live.programs["chooses"].fileno()
        first.setsockopt(socket.SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, program)
        for _ in range(3):
            udp(stack).sendto(b"x", first.getsockname())
            assert second.recv(10) == b"x"
        assert group[3] == cookie(second)


def test_frames_go_to_the_socket(compile_bpf: CompileBpf, stack: ExitStack) -> None:
    with skep.ObjectSpec.from_file(compile_bpf(SOURCE)).load() as live:
        xdp_sockets: Any = live.maps["xdp_sockets"]
        assert isinstance(xdp_sockets, XskMap)
        program = live.programs["to_socket"]
        assert program.test_run().retval == PASS
        xdp_sockets[2] = stack.enter_context(socket.socket(AF_XDP, socket.SOCK_RAW))
        assert program.test_run().retval == REDIRECT
        del xdp_sockets[2]
        assert program.test_run().retval == PASS


@pytest.mark.parametrize("type", [MapType.SOCKMAP, MapType.SOCKHASH, MapType.REUSEPORT_SOCKARRAY])
def test_items(made: Callable[..., Any], stack: ExitStack, type: MapType) -> None:
    hashed = type == MapType.SOCKHASH
    live = made(type, key_size=4)
    one, two = (key.to_bytes(4, "little") if hashed else key for key in (1, 2))
    first, second = udp(stack), udp(stack)
    assert one not in live
    assert live.get(one) is None
    for absent in (lambda: live[one], lambda: live.pop(one), lambda: operator.delitem(live, one)):
        with pytest.raises(MissingKeyError, match="has no key"):
            absent()
    with pytest.raises(MissingKeyError):
        live.replace(one, first)
    live.insert(one, first)
    with pytest.raises(KeyPresentError):
        live.insert(one, second)
    live[two] = second
    assert dict(live.items()) == {one: cookie(first), two: cookie(second)}
    assert sorted(live.values()) == sorted([cookie(first), cookie(second)])
    assert (live.count(), set(live)) == (2, {one, two})
    keys, values = live.read()
    assert len(keys) == 2
    assert values.dtype == np.uint64
    assert live.setdefault(one, second) == cookie(first)
    second.close()
    assert dict(live.items()) == {one: cookie(first)}  # it left by itself
    assert live.pop(one) == cookie(first)
    assert live.setdefault(one, first) == cookie(first)
    assert live.delete([one, two]) == 1
    live.update({one: first})
    live.clear()
    assert live.count() == 0


@pytest.mark.parametrize("type", [MapType.SOCKMAP, MapType.SOCKHASH])
def test_what_a_sock_map_takes(made: Callable[..., Any], stack: ExitStack, type: MapType) -> None:
    live = made(type, key_size=4)
    key: Any = bytes(4) if type == MapType.SOCKHASH else 0
    client, _ = connected(stack)
    listening = stack.enter_context(socket.create_server((LOCAL, 0)))
    pair = [stack.enter_context(one) for one in socket.socketpair()]
    datagrams = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    for good in (client, listening, pair[0], datagrams, udp(stack)):
        live[key] = good
        assert live[key] == cookie(good)
    for bad, reason in (
        (socket.socket(), "its TCP state is CLOSE, neither ESTABLISHED nor LISTEN"),
        (socket.socket(type=socket.SOCK_DGRAM), "a UDP socket that is neither bound nor connected"),
        (socket.socket(socket.AF_UNIX), "a Unix socket that is not connected"),
        (socket.socket(AF_XDP, socket.SOCK_RAW), "a socket of family"),
    ):
        with bad, pytest.raises(TypeMismatchError, match=reason) as caught:
            live[key] = bad
        assert "TCP sockets that are connected or listen" in caught.value.hint
        assert caught.value.role == "value"
    wanted = pytest.raises(TypeMismatchError, match=r"expected a socket, not .*/dev/null")
    with open("/dev/null") as file, wanted:
        live[key] = file
    with pytest.raises(ClosedError, match="is closed"):
        live[key] = bad
    with pytest.raises(ClosedError, match="descriptor 999 is not open"):
        live[key] = 999
    for wrong in ("socket", None, True, -1):
        with pytest.raises(TypeMismatchError, match="'sockets', value: expected a socket"):
            live[key] = wrong


def test_what_a_reuseport_array_takes(made: Callable[..., Any], stack: ExitStack) -> None:
    live = made(MapType.REUSEPORT_SOCKARRAY)
    good = udp(stack)
    live[0] = good
    unbound = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
    unbound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    silent = stack.enter_context(socket.socket())
    silent.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    silent.bind((LOCAL, 0))
    for bad, reason in (
        (good, "it is in such an array already"),
        (udp(stack, reuse=False), "its option SO_REUSEPORT is not set"),
        (unbound, "it is not bound"),
        (silent, "it does not listen"),
        (stack.enter_context(socket.socket(socket.AF_UNIX)), "it is neither TCP nor UDP"),
    ):
        with pytest.raises(TypeMismatchError, match=reason):
            live[1] = bad
    silent.listen()
    live[1] = silent
    with pytest.raises(MissingKeyError, match="has 4 entries: no index 4"):
        live[4] = udp(stack)


@pytest.mark.parametrize("type", [MapType.SOCKMAP, MapType.REUSEPORT_SOCKARRAY])
def test_values_of_four_bytes_cannot_be_read(
    made: Callable[..., Any], stack: ExitStack, type: MapType
) -> None:
    live = made(type, value_size=4)
    live[0] = udp(stack)
    for read in (lambda: live[0], lambda: live.get(0), lambda: 0 in live, live.count, live.read):
        with pytest.raises(UnsupportedError, match="its values are 4 bytes") as caught:
            read()
        assert caught.value.hint == "declare the value as __u64"
    del live[0]


def test_xdp_sockets_can_be_stored_and_not_seen(made: Callable[..., Any], stack: ExitStack) -> None:
    live = made(MapType.XSKMAP)
    one = stack.enter_context(socket.socket(AF_XDP, socket.SOCK_RAW))
    live.update({0: one, 1: one})
    live.clear()
    live.insert(0, one)
    live.replace(0, one)
    with pytest.raises(MissingKeyError, match="nothing was replaced"):
        live.replace(1, one)
    for read in (lambda: live[0], live.count, live.read, lambda: [*live], lambda: live.delete([0])):
        with pytest.raises(UnsupportedError, match="does not tell which sockets it holds"):
            read()
    with pytest.raises(TypeMismatchError, match="it is no AF_XDP socket"):
        live[0] = udp(stack)


def test_cookies(stack: ExitStack) -> None:
    first, second = udp(stack), udp(stack)
    assert cookie(first) == cookie(first.fileno()) != cookie(second)
    first.close()
    with pytest.raises(ClosedError):
        cookie(first)
    with open("/dev/null") as file, pytest.raises(TypeMismatchError, match="expected a socket"):
        cookie(file)
