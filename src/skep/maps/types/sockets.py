"""`XskMap`, `SocketMap` and `ReuseportArray`: sockets that programs redirect to or choose.

Source: net/xdp/xskmap.c, net/core/sock_map.c, kernel/bpf/reuseport_array.c, Linux 6.18. A socket
is stored as its descriptor, and leaves the map by itself when it is closed. User space never gets
it back: what is read, where anything is, is the socket's cookie.
"""

from __future__ import annotations

import errno
import sys

from skep.errors import (
    KernelError,
    SkepError,
    TypeMismatchError,
    UnsupportedError,
)
from skep.generic import Generic, K, V
from skep.maps.types import resolve
from skep.maps.types.sparse import SparseMap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    import numpy as np

    from skep.maps.cells import Cells

# include/uapi/asm-generic/socket.h
_SOL_SOCKET = 1
_SO_TYPE = 3
_SO_DOMAIN = 39
_SO_COOKIE = 57
_TCP_INFO = 11
_ENOTSUPP = 524

# include/net/tcp_states.h; the first byte of struct tcp_info.
_TCP_STATES = (
    "", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE",
    "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING", "NEW_SYN_RECV",
)  # fmt: skip


def cookie(socket: Any) -> int:
    """Return the cookie of *socket* (SO_COOKIE, Linux 4.12), which the maps of sockets read as.

    It is unique as long as the machine runs. *socket* is a socket object or a descriptor;
    `ClosedError` or `TypeMismatchError` when it is none.
    """
    held = resolve.socket(socket, "cookie()")
    found = _option(held, _SOL_SOCKET, _SO_COOKIE, 8)
    if found is None:
        raise resolve.refused(held, socket, "cookie()", "a socket")
    return int.from_bytes(found, sys.byteorder)


def _option(held: resolve.Held, level: int, name: int, size: int) -> bytes | None:
    """Return an option of a socket, None when it has none such or is no socket."""
    import os
    from socket import AF_INET, SOCK_STREAM, socket

    try:
        number = os.dup(held.fileno())
    except OSError:
        return None
    try:
        # The family is not asked for when it is given, and AF_XDP would not say.
        twin = socket(AF_INET, SOCK_STREAM, 0, number)
    except OSError:
        os.close(number)
        return None
    with twin:
        try:
            return twin.getsockopt(level, name, size)
        except OSError:
            return None


def _number(held: resolve.Held, name: int) -> int:
    """Return an option of SOL_SOCKET that is a number; -1 when there is none."""
    found = _option(held, _SOL_SOCKET, name, 4)
    return -1 if found is None else int.from_bytes(found, sys.byteorder)


class _SocketCell:
    """The descriptor of a socket, in 4 or 8 bytes; reads as the cookie."""

    __slots__ = ("map", "size")

    def __init__(self, map: str, size: int) -> None:
        self.map = map
        self.size = size

    @property
    def dtype(self) -> np.dtype[Any]:
        """What a column of cookies is made of."""
        import numpy as np

        return np.dtype(np.uint64 if self.size == 8 else np.uint32)

    def pack(self, value: Any) -> bytes:
        """Return the descriptor of *value*, a socket or a number."""
        held = resolve.socket(value, f"map {self.map!r}, value")
        return held.fileno().to_bytes(self.size, sys.byteorder)

    def unpack(self, buffer: Any, offset: int = 0) -> int:
        """Return the cookie."""
        return int.from_bytes(buffer[offset : offset + self.size], sys.byteorder)


class _Sockets(SparseMap[K, V], Generic[K, V]):
    """What the maps of sockets have in common."""

    __slots__ = ()

    TAKES = ""
    """What sockets the map takes, in hints."""

    def _make_cells(self) -> Cells:
        from skep.maps.cells import Cells

        return Cells(self.spec, value=_SocketCell(self.name, self.spec.value_size))

    def _check_readable(self) -> None:
        if self.spec.value_size != 8:
            raise UnsupportedError(
                f"{self._what()}: its values are {self.spec.value_size} bytes, and user space reads"
                " sockets as cookies of 8",
                hint="declare the value as __u64",
                feature="reading of sockets",
            )

    def _check_present(self, key: K) -> None:
        """Leave it to the kernel, which says so."""

    def __getitem__(self, key: K) -> V:
        self._check_readable()
        return super().__getitem__(key)

    def get(self, key: K, default: Any = None, *, lock: bool = False) -> Any:
        """Return the cookie of the socket under *key*, or *default* when there is none."""
        self._check_readable()
        return super().get(key, default, lock=lock)

    def __contains__(self, key: object) -> bool:
        self._check_readable()
        return super().__contains__(key)

    def pop(self, key: K, *default: Any) -> Any:
        """Remove *key* and return its cookie; *default*, or `MissingKeyError`, when absent."""
        self._check_readable()
        return super().pop(key, *default)

    def read(self, *, lock: bool = False) -> Any:
        """Return the filled keys and the cookies as NumPy arrays, one system call for each."""
        self._check_readable()
        return super().read(lock=lock)

    def _refused(self, key: Any, value: Any, code: int) -> SkepError | None:
        where = f"map {self.name!r}, value"
        held = resolve.socket(value, where)
        if code in (errno.EBADF, errno.ENOTSOCK):
            return resolve.refused(held, value, where, "a socket")
        reason = self._reason(held, code)
        if not reason:
            return None
        return TypeMismatchError(
            f"{where}: the kernel does not take {value!r:.80}: {reason}",
            hint=f"it takes {self.TAKES}",
            expected=self.TAKES,
            given=value,
            key=key,
            map=self.name,
            role="value",
            errno=code,
        )

    def _reason(self, held: resolve.Held, code: int) -> str:
        """Return why the kernel refused a socket with errno *code*, "" when that is not known."""
        raise NotImplementedError


class SocketMap(_Sockets[K, V], Generic[K, V]):
    """Sockets to redirect to: by slot (SOCKMAP, Linux 4.14) or any key (SOCKHASH, Linux 4.18).

    A value is a socket object or a descriptor: TCP that is connected or listens, UDP that is bound
    or connected (Linux 5.7), Unix stream sockets that are connected, Unix datagram sockets
    (Linux 5.15). It reads as the socket's cookie (`skep.maps.cookie` of a socket) where the values
    are 8 bytes, and not at all where they are 4. Programs attached to the map apply to a socket
    from the moment it is stored.
    """

    __slots__ = ()

    EMPTY = errno.EINVAL  # of SOCKMAP; SOCKHASH says ENOENT
    TAKES = (
        "TCP sockets that are connected or listen, UDP sockets that are bound or connected, and"
        " Unix sockets (streams when they are connected)"
    )

    def __delitem__(self, key: K) -> None:
        try:
            super().__delitem__(key)
        except KernelError as error:
            if not self._empty(error):  # what an array says of an empty slot
                raise
            raise self._missing(key) from None

    def _reason(self, held: resolve.Held, code: int) -> str:
        if code == errno.EOPNOTSUPP:
            return _state(held)
        if code == errno.EINVAL:
            return "the map has a program that cannot run on sockets of this kind"
        return ""


def _state(held: resolve.Held) -> str:
    """Say what is wrong with the state of a socket that a sockmap refuses."""
    from socket import AF_INET, AF_INET6, AF_UNIX, IPPROTO_TCP, SOCK_DGRAM, SOCK_STREAM

    family, kind = _number(held, _SO_DOMAIN), _number(held, _SO_TYPE)
    if family in (AF_INET, AF_INET6) and kind == SOCK_STREAM:
        found = _option(held, IPPROTO_TCP, _TCP_INFO, 1)
        state = _TCP_STATES[found[0]] if found and found[0] < len(_TCP_STATES) else ""
        if not state:
            return "sockets of this protocol cannot be stored"
        return f"its TCP state is {state}, neither ESTABLISHED nor LISTEN"
    if family in (AF_INET, AF_INET6) and kind == SOCK_DGRAM:
        return "a UDP socket that is neither bound nor connected"
    if family == AF_UNIX:
        return "a Unix socket that is not connected"
    return f"a socket of family {family}, for which there is no such map"


class ReuseportArray(_Sockets[K, V], Generic[K, V]):
    """Sockets of a SO_REUSEPORT group for a program to choose from (Linux 4.19).

    A value is a socket object or a descriptor: UDP that is bound, or TCP that listens, on IPv4 or
    IPv6, with SO_REUSEPORT set before that. A socket can be in one such array only, under one key.
    It reads as its cookie where the values are 8 bytes.
    """

    __slots__ = ()

    TAKES = "UDP sockets that are bound and TCP sockets that listen, with SO_REUSEPORT set before"

    def _reason(self, held: resolve.Held, code: int) -> str:
        if code == errno.EBUSY:
            return "it is in such an array already, perhaps under another key of this one"
        if code == _ENOTSUPP:
            return "it is neither TCP nor UDP over IPv4 or IPv6"
        if code != errno.EINVAL:
            return ""
        from socket import SO_REUSEPORT, SOCK_STREAM

        if _number(held, SO_REUSEPORT) != 1:
            return "its option SO_REUSEPORT is not set"
        if _number(held, _SO_TYPE) == SOCK_STREAM:
            return "it does not listen"
        return "it is not bound"


class XskMap(_Sockets[K, V], Generic[K, V]):
    """AF_XDP sockets by slot (XSKMAP, Linux 4.18), usually one for each receive queue.

    A value is an AF_XDP socket or its descriptor. User space can store and remove, and cannot look:
    the kernel does not tell which slots are filled, so whatever reads is `UnsupportedError`.
    """

    __slots__ = ()

    TAKES = "AF_XDP sockets"

    def _check_readable(self) -> None:
        raise self._unreadable()

    def _unreadable(self) -> UnsupportedError:
        return UnsupportedError(
            f"{self._what()}: the kernel does not tell which sockets it holds, or in which slots",
            hint="keep them in a dict of your own beside the map",
            feature="reading of AF_XDP sockets",
        )

    def _reason(self, _: resolve.Held, code: int) -> str:
        return "it is no AF_XDP socket" if code == errno.EOPNOTSUPP else ""

    def delete(self, *_: Any, **__: Any) -> NoReturn:
        """Raise `UnsupportedError`: nobody knows how many of the keys are filled."""
        raise self._unreadable()

    def to_arrow(self, *_: Any, **__: Any) -> NoReturn:
        """Raise `UnsupportedError`."""
        raise self._unreadable()
