"""Where to listen: reading ``HOST:PORT`` and opening the socket, with errors a person can use."""

from __future__ import annotations

import ipaddress
import socket
from errno import EACCES, EADDRINUSE, EADDRNOTAVAIL

from skep.errors import KernelError, NotFoundError, RangeError

DEFAULT = "127.0.0.1:9091"


def parse(text: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT``, ``[IPv6]:PORT``, ``:PORT`` or ``PORT``.

    Without a host it is the loopback address, never every address: that takes ``0.0.0.0`` or
    ``[::]``, written out. Port 0 lets the kernel choose. Raises `RangeError`.
    """
    host, colon, port = text.rpartition(":")
    if not colon:
        host = ""
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise RangeError(
            f"{text!r} is not HOST:PORT", hint="an IPv6 address goes in brackets: [::1]:9091"
        )
    if not (port.isascii() and port.isdecimal()) or int(port) > 65535:
        raise RangeError(
            f"{text!r} is not HOST:PORT with a port from 0 to 65535", hint=f"as in {DEFAULT}"
        )
    return host or "127.0.0.1", int(port)


def listen(host: str, port: int) -> socket.socket:
    """Return a listening TCP socket. Raises `KernelError` or `NotFoundError` in one sentence."""
    where = show(host, port)
    try:
        info = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )
    except (socket.gaierror, UnicodeError) as error:
        raise NotFoundError(
            f"cannot listen on {where}: there is no address called {host}", name=host, where="DNS"
        ) from error
    family, kind, protocol, _, address = info[0]
    sock = socket.socket(family, kind, protocol)
    try:
        # Without it a port that a stopped agent's connections linger on is busy for a minute.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(64)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        why, hint = {
            EADDRINUSE: (
                "the port is in use",
                "choose another with --listen, or stop the other program",
            ),
            EADDRNOTAVAIL: ("no interface of this machine has that address", ""),
            EACCES: ("ports below 1024 need CAP_NET_BIND_SERVICE", "choose a higher one"),
        }.get(error.errno or 0, (error.strerror or str(error), ""))
        raise KernelError(
            f"cannot listen on {where}: {why}", hint=hint, errno=error.errno or 0, call="bind"
        ) from error
    except BaseException:
        sock.close()
        raise
    return sock


def show(host: str, port: int) -> str:
    """Write host and port as in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach *host*, a numeric address."""
    return ipaddress.ip_address(host.partition("%")[0]).is_loopback
