"""Attachments in the network: to control groups, sock maps and sockets."""

from __future__ import annotations

import os
import socket
import tempfile
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import pytest
from corpus_steps import PATIENCE, until

from skep.errors import TypeMismatchError
from skep.kernel import bpf

if TYPE_CHECKING:
    from collections.abc import Callable

    from corpus_case import Step

    import skep

LOCAL = "127.0.0.1"
SO_ATTACH_REUSEPORT_EBPF = 52  # include/uapi/asm-generic/socket.h


def cgroup_root() -> str:
    """Find where the version 2 hierarchy of control groups is mounted."""
    with open("/proc/self/mounts") as mounts:
        for line in mounts:
            _, place, kind, *_ = line.split()
            if kind == "cgroup2":
                return place
    raise FileNotFoundError("no cgroup2 file system is mounted")


def own_cgroup() -> str:
    """Return the folder of this process's control group."""
    with open("/proc/self/cgroup") as lines:
        path = next(line.strip().partition("::")[2] for line in lines if line.startswith("0::"))
    return cgroup_root() + path


def in_cgroup(*programs: str, act: Callable[[skep.Object], Any]) -> Step:
    """Attach *programs* to a control group of their own, with only this process in it, and act."""

    def step(live: skep.Object) -> None:
        before = own_cgroup()
        with ExitStack() as stack:
            folder = tempfile.mkdtemp(prefix="skep-corpus-", dir=cgroup_root())
            stack.callback(os.rmdir, folder)
            group = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            stack.callback(os.close, group)
            for name in programs:
                program = live.programs[name]
                attach_type = program.expected_attach_type
                stack.enter_context(bpf.link_create(program.fd, group, attach_type))
            stack.callback(_enter, before)
            _enter(folder)
            act(live)

    return step


def _enter(folder: str) -> None:
    with open(f"{folder}/cgroup.procs", "w") as procs:
        procs.write(str(os.getpid()))


def tcp(*, backlog: int | None = 1, port: int = 0) -> socket.socket:
    """Bind a TCP socket to this machine; it listens unless *backlog* is None."""
    made = socket.socket()
    made.settimeout(PATIENCE)
    made.bind((LOCAL, port))
    if backlog is not None:
        made.listen(backlog)
    return made


def udp(port: int = 0, *, reuse: bool = False) -> socket.socket:
    """Bind a UDP socket to this machine."""
    made = socket.socket(type=socket.SOCK_DGRAM)
    made.settimeout(PATIENCE)
    if reuse:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind((LOCAL, port))
    return made


def port_of(bound: socket.socket) -> int:
    """Return the port that *bound* has."""
    port: int = bound.getsockname()[1]
    return port


def connected() -> tuple[socket.socket, socket.socket]:
    """Make a TCP connection; return both its ends."""
    with tcp() as server:
        client = socket.create_connection(server.getsockname(), timeout=PATIENCE)
        served, _ = server.accept()
        served.settimeout(PATIENCE)
    return client, served


def connects_elsewhere(live: skep.Object) -> None:
    """Connect to a port at which nobody listens."""
    with tcp() as server, tcp(backlog=None) as closed:
        wanted = port_of(closed)
        live.variables["given"] = port_of(server)
        live.variables["wanted"] = wanted
        with closing(socket.create_connection((LOCAL, wanted), timeout=PATIENCE)) as client:
            assert client.getpeername() == (LOCAL, wanted)
            served, _ = server.accept()
            served.close()


def connects_by_path(_live: skep.Object) -> None:
    """Connect to a socket in the file system."""
    with ExitStack() as stack:
        path = stack.enter_context(tempfile.TemporaryDirectory()) + "/socket"
        server, client = (stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(2))
        server.bind(path)
        server.listen(1)
        client.connect(path)


def sends_elsewhere(live: skep.Object) -> None:
    """Send a datagram to a port at which nobody reads, and get the answer from there."""
    with udp() as server, udp() as silent, udp() as client:
        live.variables["given"] = port_of(server)
        live.variables["wanted"] = port_of(silent)
        client.sendto(b"question", silent.getsockname())
        data, sender = server.recvfrom(100)
        assert (data, sender) == (b"question", client.getsockname())
        server.sendto(b"answer", sender)
        assert client.recvfrom(100) == (b"answer", silent.getsockname())


def binds(live: skep.Object) -> None:
    """Bind a socket, and another to the forbidden port."""
    with udp() as first:
        assert live.variables["port"].value == port_of(first)
        live.variables["forbidden"] = port_of(first) ^ 1
        with socket.socket(type=socket.SOCK_DGRAM) as second, pytest.raises(PermissionError):
            second.bind((LOCAL, port_of(first) ^ 1))


def uses_an_option(_live: skep.Object) -> None:
    """Set and read an option of a level that does not exist."""
    with socket.socket() as one:
        one.setsockopt(0x5EE9, 1, 41)
        assert one.getsockopt(0x5EE9, 1) == 42


def reads_a_sysctl(_live: skep.Object) -> None:
    with open("/proc/sys/kernel/ostype") as file:
        assert file.read() == "Linux\n"


def opens_devices(_live: skep.Object) -> None:
    """Open a device that may be opened and one that may not."""
    with open("/dev/null", "rb"):
        pass
    with pytest.raises(PermissionError):
        open("/dev/full", "rb").close()


def makes_a_connection(_live: skep.Object) -> None:
    for end in connected():
        end.close()


def makes_raw_socket(_live: skep.Object) -> None:
    """Make a socket that may be made and one that may not."""
    socket.socket().close()
    with pytest.raises(PermissionError):
        socket.socket(type=socket.SOCK_RAW, proto=1).close()


def diverted(live: skep.Object) -> None:
    """Write to one socket, read from another that it is not connected to."""
    with ExitStack() as stack:
        pairs = [connected(), connected()]
        for end in (*pairs[0], *pairs[1]):
            stack.enter_context(end)
        sockets, program = live.maps["sockets"], live.programs["diverts"]
        bpf.prog_attach(program.fd, sockets.fd, program.expected_attach_type)
        stack.callback(bpf.prog_detach, program.fd, sockets.fd, program.expected_attach_type)
        sockets[0], sockets[1] = pairs[0][0].fileno(), pairs[1][0].fileno()
        pairs[0][0].sendall(b"diverted")
        assert pairs[1][0].recv(100) == b"diverted"


def filtered(live: skep.Object) -> None:
    """Send what is dropped, then what is not."""
    with ExitStack() as stack:
        client, served = connected()
        stack.enter_context(client)
        stack.enter_context(served)
        sockets = live.maps["sockets"]
        for program in live.programs.values():
            kind = program.expected_attach_type
            bpf.prog_attach(program.fd, sockets.fd, kind)
            stack.callback(bpf.prog_detach, program.fd, sockets.fd, kind)
        sockets[0] = served.fileno()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(b"drop")
        until("dropped", 1)(live)
        client.sendall(b"pass")
        assert served.recv(100) == b"pass"


def shared_port(live: skep.Object) -> None:
    """Send datagrams to a port with two sockets; all go to the one that the program chooses."""
    with udp(reuse=True) as first, udp(port_of(first), reuse=True) as second, udp() as client:
        sockets = live.maps["sockets"]
        sockets[0], sockets[1] = first.fileno(), second.fileno()
        program = live.programs["second"].fileno()
        first.setsockopt(socket.SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, program)
        for _ in range(3):
            client.sendto(b"x", first.getsockname())
            assert second.recv(10) == b"x"


def congestion(name: bytes) -> Step:
    """Attach an algorithm and send something over a connection that uses it."""

    def step(live: skep.Object) -> None:
        with live.attach(), tcp() as server, socket.socket() as client:
            client.settimeout(PATIENCE)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, name)
            client.connect(server.getsockname())
            served, _ = server.accept()
            with served:
                client.sendall(bytes(10_000))
                received = 0
                while received < 10_000:
                    received += len(served.recv(10_000))

    return step


def in_maps(live: skep.Object) -> None:
    """Put XDP programs into maps; a map takes only those that were made for it."""
    lo = socket.if_nametoindex("lo")
    values = {"cpus": (64, "in_cpumap"), "devices": (lo, "in_devmap")}
    for name, (number, program) in values.items():
        live.maps[name][0] = number, live.programs[program]
        assert live.maps[name][0] == (number, live.programs[program].info.id)
    with pytest.raises(TypeMismatchError):
        live.maps["cpus"][0] = 64, live.programs["in_devmap"]
    with pytest.raises(TypeMismatchError):
        live.maps["devices"][0] = lo, live.programs["in_cpumap"]
