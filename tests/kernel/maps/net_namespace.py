"""A child process in a network namespace of its own, with a pair of interfaces, by rtnetlink(7)."""

from __future__ import annotations

import ctypes
import os
import pickle
import socket
import struct
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_CLONE_NEWNET = 0x40000000
_NEWLINK = 16
_REQUEST, _ACK, _CREATE = 1, 4, 0x400
_UP = 1
# Attributes: of a link, of its info, of the info's data for veth.
_NAME, _LINKINFO, _KIND, _DATA, _PEER = 3, 18, 1, 2, 1


def in_namespace(function: Callable[[], Any]) -> Any:
    """Run *function* in a forked child whose network namespace is new; return its result.

    What it raises fails the test, with its traceback.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        answer: tuple[bool, Any] = False, "the child died"
        try:
            _leave()
            answer = True, function()
        except BaseException:  # noqa: BLE001 - the parent fails with it
            answer = False, traceback.format_exc()
        finally:
            with open(writer, "wb") as pipe:
                pickle.dump(answer, pipe)
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        data = pipe.read()
    os.waitpid(pid, 0)
    succeeded, result = pickle.loads(data)
    assert succeeded, result
    return result


def _leave() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")


def veth(first: str, second: str) -> None:
    """Make a pair of interfaces that are connected, and set both up."""
    empty = struct.pack("=BBHiII", 0, 0, 0, 0, 0, 0)
    peer = _attribute(_PEER, empty + _attribute(_NAME, second.encode() + b"\0"))
    info = _attribute(_KIND, b"veth\0") + _attribute(_DATA, peer)
    _ask(empty + _attribute(_NAME, first.encode() + b"\0") + _attribute(_LINKINFO, info), _CREATE)
    for name in (first, second):
        _ask(struct.pack("=BBHiII", 0, 0, 0, socket.if_nametoindex(name), _UP, _UP), 0)


def _attribute(type: int, data: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(data), type) + data + bytes(-len(data) % 4)


def _ask(body: bytes, flags: int) -> None:
    header = struct.pack("=IHHII", 16 + len(body), _NEWLINK, flags | _REQUEST | _ACK, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as link:
        link.sendall(header + body)
        (error,) = struct.unpack_from("=i", link.recv(4096), 16)
    if error:
        raise OSError(-error, os.strerror(-error))
