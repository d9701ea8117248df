"""Global variables, and what is outside the object."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import corpus_facts as facts
from corpus_case import Case
from corpus_steps import attached, run
from corpus_tracing import GETPPID, getppid

if TYPE_CHECKING:
    from contextlib import ExitStack

    import skep

OWN = {"own": os.getpid, "number": GETPPID}


def _changed(live: skep.Object) -> None:
    """Compare the variables that are no plain numbers."""
    nested = live.variables["nested"].value
    assert nested.kind == 4
    assert nested.value.number == 0x01020304
    assert (nested.points[0].x, nested.points[1].y) == (12, -12)
    assert (nested.low, nested.high) == (5, 7)


def _mixed(live: skep.Object) -> None:
    mixed = live.variables["mixed"].value
    assert (mixed.name, list(mixed.numbers)) == ("corpus", [1, 2 + ord("c"), 3])


def _on_its_cpu(live: skep.Object) -> None:
    """The run queue knows which CPU it is of."""
    live.programs["asks"].test_run()
    values = live.variables
    assert values["own_cpu"].value == values["here"].value
    assert values["first_cpu"].value == 0
    assert values["active"].value >= 0


def _give(spec: skep.ObjectSpec, _compiler: str, _stack: ExitStack) -> None:
    spec.externs["CONFIG_SKEP_GIVEN"].value = 7
    spec.externs["CONFIG_HZ"].value = 1234


CASES = [
    Case(
        "data_sections",
        "data: .data, .bss, .rodata",
        run("add"),
        _mixed,
        given={"constant": 3},
        variables={"zeroed": 43, "initialised": -3, "constant": 3, "hidden": -3},
    ),
    Case(
        "data_static",
        "data: static, of one name",
        run("adds", returns=11021),
        run("adds", returns=12022),
        variables={"before": 1, "of_file": 4, "small": 11, "after": 4},
    ),
    Case(
        "data_custom",
        "data: sections of other names",
        run("add", returns=6),
        variables={"mine": 9, "scratch": 6, "limit": 3, "wide": (10, 20, 30, 60)},
    ),
    Case(
        "data_strings",
        "data: string literals",
        run("strings"),
        variables={"copy": "stored", "text": "n=42", "same": 0, "different": -1},
    ),
    Case(
        "data_constant_branch",
        "data: constants prune code",
        run("decide", returns=7),
        given={"broken": False, "loops": 6},
        variables={"rounds": 6},
    ),
    Case(
        "data_types",
        "data: variables of every type",
        run("change"),
        _changed,
        given={
            "matrix": [[6, 0, 0], [0, 0, 0]],
            "nested": {
                "kind": 3,
                "value": {"number": 0},
                "points": [{"x": 12, "y": 0}, {"x": 0, "y": 0}],
                "low": 5,
                "high": 0,
            },
        },
        variables={
            "small": -9,
            "large": 0x0FEDCBA987654321,
            "flag": True,
            "colour": 6,
            "text": "on",
            "matrix": ((6, 0, 0), (0, 0, 7)),
        },
    ),
    Case(
        "data_large",
        "data: many pages",
        run("use"),
        given={"place": 19999},
        variables={"found": 5},
    ),
    Case(
        "extern_version",
        "extern: kernel version and virtual options",
        run("asks"),
        variables={
            "version": facts.version_code,
            "wrapper": lambda: "__x64_sys_getppid" in facts.symbols(),
            "cookie": True,
        },
    ),
    Case(
        "extern_kconfig",
        "extern: options of every type",
        run("asks"),
        variables={
            "hz": lambda: facts.option("CONFIG_HZ"),
            "cpus": lambda: facts.option("CONFIG_NR_CPUS"),
            "syscall": True,
            "net": ord("y"),
            "inet": 1,
            "veth": lambda: facts.option("CONFIG_VETH"),
            "hostname": lambda: facts.configuration()["CONFIG_DEFAULT_HOSTNAME"].strip('"'),
        },
    ),
    Case(
        "extern_kconfig_given",
        "extern: options that the user gives",
        run("asks"),
        prepare=_give,
        variables={"given": 7, "hz": 1234},
    ),
    Case("extern_kconfig_weak", "extern: weak options", run("asks"), variables={"sum": 0}),
    Case(
        "extern_ksym_untyped",
        "extern: kernel symbols",
        run("asks"),
        variables={
            "read": lambda: facts.symbols()["vfs_read"],
            "sched": lambda: facts.symbols()["schedule"],
            "missing": 0,
        },
    ),
    Case("extern_ksym_typed", "extern: typed kernel variables", _on_its_cpu, guests=True),
    Case(
        "extern_ksym_weak",
        "extern: weak kernel symbols",
        run("asks"),
        variables={"there": 1, "missing": 0},
    ),
    Case(
        "extern_kfunc",
        "extern: kernel functions",
        attached("asks", act=getppid),
        given=OWN,
        variables={"found": os.getpid, "nobody": 1},
        functions={"bpf_task_from_pid": (6, 2)},
    ),
    Case(
        "extern_kfunc_weak",
        "extern: weak kernel functions",
        run("asks"),
        variables={"missing": 1},
    ),
]
