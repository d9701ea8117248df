"""CO-RE: each kind of relocation, and the ways in which types differ."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import corpus_facts as facts
from corpus_case import Case
from corpus_network import udp
from corpus_steps import attached, run
from corpus_tracing import GETPPID, getppid

from skep.btf.types import Kind

if TYPE_CHECKING:
    import skep

OWN = {"own": os.getpid, "number": GETPPID}
SO_NO_CHECK = 11  # include/uapi/asm-generic/socket.h


def _socket(live: skep.Object) -> None:
    """Compare what the program reads of a socket with what the socket says."""
    with udp() as own:
        live.variables["descriptor"] = own.fileno()
        for flag in (0, 1):
            own.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, flag)
            live.programs["ask"].test_run()
            assert live.variables["flag"].value == flag
        assert live.variables["type"].value == socket.SOCK_DGRAM
        buffer = own.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        assert live.variables["buffer"].value == buffer


def _local_id(live: skep.Object) -> None:
    """The id must be the one in the BTF that the kernel was given."""
    live.programs["ask"].test_run()
    btf = live.spec.btf
    assert btf is not None
    assert live.variables["local"].value == btf.find("only_here", Kind.STRUCT)[0]


def _resized(live: skep.Object) -> None:
    values = {name: live.variables[name].value for name in ("wide", "exact", "narrow", "policy")}
    assert values["wide"] == values["exact"] == facts.task_flags()
    assert values["narrow"] == values["policy"] == os.sched_getscheduler(0)


def _module(live: skep.Object) -> None:
    """The root of a guest is ext4, from a module; the host's kernel has it built in."""
    live.programs["ask"].test_run()
    values = {name: live.variables[name].value for name in ("exists", "size", "field")}
    assert (values["exists"], values["field"]) == (1, 1)
    assert values["size"] > 1000


CASES = [
    Case(
        "core_field_offset",
        "CO-RE: field offset",
        run("ask"),
        variables={"tgid": os.getpid, "comm": facts.comm},
    ),
    Case(
        "core_field_size",
        "CO-RE: field size",
        run("ask"),
        variables={
            "pid": 4,
            "comm": 16,
            "tasks": 16,
            "flags": 4,
            "bits": 4,
        },
    ),
    Case("core_field_exists", "CO-RE: field exists", run("ask"), variables={"answers": 0b101}),
    Case(
        "core_field_signed",
        "CO-RE: field signed",
        run("ask"),
        variables={"pid": 1, "flags": 0, "bits": 0},
    ),
    Case("core_bitfield", "CO-RE: shifts of bit-fields", _socket),
    Case(
        "core_bitfield_direct",
        "CO-RE: bit-fields read directly",
        attached("ask", act=getppid),
        given=OWN,
        variables={"reset": 0, "execve": 0, "exists": False},
    ),
    Case(
        "core_type_id",
        "CO-RE: local and target type id",
        _local_id,
        variables={"target": lambda: facts.type_id("task_struct"), "missing": 0},
    ),
    Case("core_type_exists", "CO-RE: type exists", run("ask"), variables={"answers": 0b11111}),
    Case(
        "core_type_size",
        "CO-RE: type size",
        run("ask"),
        variables={
            "task": lambda: facts.size_of("task_struct"),
            "list": 16,
            "missing": 0,
        },
    ),
    Case(
        "core_type_matches",
        "CO-RE: type matches",
        run("ask"),
        variables={"answers": 0b01101},
        clang=15,
    ),
    Case(
        "core_enum_value",
        "CO-RE: enumerator exists, value",
        run("ask"),
        variables={"unspec": 0, "ringbuf": 27, "exists": 1},
    ),
    Case(
        "core_enum64",
        "CO-RE: 64-bit enum",
        run("ask"),
        variables={"output": 130, "exists": 0, "own": 0x123456789ABC},
        clang=15,
    ),
    Case(
        "core_flavours",
        "CO-RE: flavours",
        run("ask"),
        variables={"state": 0, "tgid": os.getpid},
    ),
    Case(
        "core_anonymous",
        "CO-RE: anonymous members",
        run("ask"),
        variables={
            "page_type": lambda: facts.member("page", "page_type")[0] >= 0,
            **dict.fromkeys(
                ("as_it_is", "flat", "deep"), lambda: facts.member("mm_struct", "total_vm")[0]
            ),
        },
    ),
    Case(
        "core_array",
        "CO-RE: array elements",
        run("ask"),
        variables={
            "number": os.getpid,
            "pid": os.getpid,
            "third": lambda: ord(facts.comm()[2]),
            "level": 0,
        },
    ),
    Case(
        "core_ambiguous",
        "CO-RE: several candidates that agree",
        run("ask"),
        variables={"next": 0, "previous": 8, "size": 1},
    ),
    Case("core_module", "CO-RE: types of modules", _module),
    Case(
        "core_poisoned",
        "CO-RE: poisoned and not reached",
        run("ask"),
        variables={"result": os.getpid},
    ),
    Case(
        "core_resized",
        "CO-RE: integers of another size",
        attached("ask", act=getppid),
        _resized,
        given=OWN,
    ),
    Case(
        "core_libbpf_reads",
        "CO-RE: libbpf's macros",
        run("ask"),
        variables={
            "parent": facts.parent,
            "leader": os.getpid,
            "threads": facts.threads,
            "comm": facts.comm,
            "exists": True,
            "size": 16,
        },
    ),
]
