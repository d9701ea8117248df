"""Section names compared with libbpf, the library whose names they are."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import pytest
from needs import need_library

from skep.kernel.constants import AttachType, MapType, ProgramType, name_of
from skep.programs.sections import attach_type_name, parse_section, section_names

if TYPE_CHECKING:
    from collections.abc import Callable

SLEEPABLE_TRACEPOINTS = {f"{name}.s" for name in ("tp", "tracepoint", "raw_tp", "raw_tracepoint")}
NEWER = {
    "uprobe.multi", "uprobe.multi.s", "uretprobe.multi", "uretprobe.multi.s", "usdt.s",  # 1.3
    "tcx/ingress", "tcx/egress", "tc/ingress", "tc/egress", "netfilter",  # 1.3
    "cgroup/connect_unix", "cgroup/sendmsg_unix", "cgroup/recvmsg_unix",  # 1.4
    "cgroup/getpeername_unix", "cgroup/getsockname_unix",  # 1.4
    "netkit/primary", "netkit/peer", "struct_ops.s", "sk_skb/verdict",  # 1.3 to 1.5
    "kprobe.session", "uprobe.session", "uprobe.session.s",  # 1.5
    "fsession", "fsession.s", "tp_btf.s", *SLEEPABLE_TRACEPOINTS,  # after 1.6
    *(f"{name}.multi{s}" for name in ("fentry", "fexit", "fsession") for s in ("", ".s")),
}  # fmt: skip
"""Names that came after libbpf 1.1, the oldest that this test meets."""

OLDER = {"seccomp": "only cilium/ebpf", "xdp_devmap": "before 1.0", "xdp_cpumap": "before 1.0"}
"""Names that libbpf 1.x does not know, and who does."""


class Libbpf:
    """The installed libbpf's answers about names."""

    def __init__(self) -> None:
        self.library = ctypes.CDLL(need_library("libbpf.so.1"))
        for what in ("prog", "attach", "map"):
            getattr(self.library, f"libbpf_bpf_{what}_type_str").restype = ctypes.c_char_p

    def meaning(self, name: str) -> tuple[str, int] | None:
        """Return the program type and the number of the attach type, None for unknown names."""
        kind, attach = ctypes.c_int(), ctypes.c_int()
        code = name.encode()
        if self.library.libbpf_prog_type_by_name(code, ctypes.byref(kind), ctypes.byref(attach)):
            return None
        return self.name("prog", kind.value), attach.value

    def name(self, what: str, number: int) -> str:
        found: bytes | None = getattr(self.library, f"libbpf_bpf_{what}_type_str")(number)
        return "" if found is None else found.decode()

    def names(self) -> list[str]:
        """Return what libbpf says are the names it knows; a "+" stands for "and a target"."""
        said: list[str] = []
        libc = ctypes.CDLL(None)

        def listen(level: int, form: bytes, arguments: int) -> int:
            buffer = ctypes.create_string_buffer(1 << 14)
            libc.vsnprintf(buffer, len(buffer), form, ctypes.c_void_p(arguments))
            said.append(buffer.value.decode())
            return 0

        signature = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
        callback = signature(listen)
        self.library.libbpf_set_print(callback)
        assert self.meaning("no such name") is None
        self.library.libbpf_set_print(None)
        listed = next(line for line in said if "supported section" in line)
        return listed.partition(" are:")[2].split()


@pytest.fixture(scope="module")
def libbpf() -> Libbpf:
    found = Libbpf()
    found.library.libbpf_set_print(None)
    return found


def test_every_name_of_libbpf_means_the_same(libbpf: Libbpf) -> None:
    names = libbpf.names()
    assert len(names) > 75
    for listed in names:
        name = listed.rstrip("+/")
        targets = ["", "/x", "/x/y:z"] if listed != name else [""]
        for target in targets:
            section = parse_section(name + target)
            theirs = libbpf.meaning(name + target)
            assert theirs == (name_of(ProgramType, section.type), section.expected_attach_type)
            assert section.prefix == name
            assert section.target == target[1:], listed


def test_every_other_name_is_newer_or_older(libbpf: Libbpf) -> None:
    known = {name.rstrip("+/") for name in libbpf.names()}
    assert known <= set(section_names())
    ours = set(section_names()) - known
    assert ours <= NEWER | OLDER.keys()
    for name in ours:
        assert libbpf.meaning(name) is None
        assert parse_section(name).type != ProgramType.UNSPEC


@pytest.mark.parametrize("name", ["", "x", "kprobes", "kprobe_x", "cgroup", "xdpx", ".text", "fe"])
def test_what_neither_knows(libbpf: Libbpf, name: str) -> None:
    assert libbpf.meaning(name) is None
    assert parse_section(name).type == ProgramType.UNSPEC


def test_names_of_types(libbpf: Libbpf) -> None:
    """As far as libbpf has them; a sentence of its own for numbers would be a difference."""
    kinds: list[tuple[str, Callable[[int], str], int]] = [
        ("prog", lambda number: name_of(ProgramType, number), len(ProgramType)),
        ("map", lambda number: name_of(MapType, number), len(MapType)),
        ("attach", attach_type_name, len(AttachType)),
    ]
    for what, ours, count in kinds:
        compared = [number for number in range(count) if libbpf.name(what, number)]
        assert len(compared) > 30
        for number in compared:
            assert ours(number) == libbpf.name(what, number)
