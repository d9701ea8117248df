"""What processes without privileges are told: real refusals in a child that became nobody."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from needs import need

from skep.errors import PrivilegeError
from skep.kernel import bpf, capabilities, features, perf, probes, process, tracefs
from skep.kernel.constants import AttachType, MapType, ProgramType
from skep.kernel.fd import FD

if TYPE_CHECKING:
    from unprivileged import Dropped

RETURN_0 = struct.pack("=QQ", 0x00B7, 0x0095)
LIBC = "/lib/x86_64-linux-gnu/libc.so.6"


def load(type: ProgramType, **options: Any) -> None:
    bpf.prog_load(type=type, insns=RETURN_0, license="GPL", name="runqlat", **options).close()


def load_raw_tracepoint() -> None:
    load(ProgramType.RAW_TRACEPOINT)


def load_xdp() -> None:
    load(ProgramType.XDP)


def create_hash() -> None:
    bpf.map_create(type=MapType.HASH, key_size=4, value_size=4, max_entries=1, name="m").close()


def sample_all() -> None:
    attr = perf.PerfEventAttr(type=1, config=0, frequency=49)
    perf.perf_event_open(attr, cpu=0, what="cpu-clock on processor 0").close()


def open_uprobe() -> None:
    attr = perf.PerfEventAttr(
        type=perf.pmu_type("uprobe"), config1=os.fsencode(LIBC) + b"\0", config2=0x28000
    )
    perf.perf_event_open(attr, cpu=0, what=f"uprobe in {LIBC}").close()


def attach_uprobe_multi() -> None:
    kind = AttachType.TRACE_UPROBE_MULTI
    with bpf.prog_load(
        type=ProgramType.KPROBE, insns=RETURN_0, license="GPL", expected_attach_type=kind
    ) as prog:
        bpf.link_create_uprobe_multi(prog, LIBC, [0x28000]).close()


TRACING = ("CAP_BPF", "CAP_PERFMON")

REFUSALS = [
    (load_raw_tracepoint, (), TRACING, "loading program 'runqlat' needs CAP_BPF and CAP_PERFMON"),
    (load_raw_tracepoint, ("CAP_BPF",), TRACING, "loading program 'runqlat' needs CAP_BPF and"),
    (load_xdp, TRACING, ("CAP_BPF", "CAP_NET_ADMIN"), "needs CAP_BPF and CAP_NET_ADMIN"),
    (create_hash, (), ("CAP_BPF",), "creating map 'm' needs CAP_BPF"),
    (sample_all, ("CAP_BPF",), ("CAP_PERFMON",), "opening cpu-clock on processor 0 needs CAP_PER"),
    (open_uprobe, TRACING, ("CAP_SYS_ADMIN",), f"opening uprobe in {LIBC} needs CAP_SYS_ADMIN"),
    (bpf.enable_stats, TRACING, ("CAP_SYS_ADMIN",), "switching on run-time statistics needs CAP"),
]


@pytest.mark.parametrize(("call", "held", "needs", "text"), REFUSALS)
def test_refusal_names_capability_and_command(
    dropped: Dropped, call: Any, held: tuple[str, ...], needs: tuple[str, ...], text: str
) -> None:
    refusal = dropped(call, *held)
    assert refusal.kinds[0] == "PrivilegeError"
    assert "PermissionError" in refusal.kinds
    assert text in refusal.text
    assert "run it as root: sudo " in refusal.text
    assert f"AmbientCapabilities={' '.join(needs)}" in refusal.text
    assert "\n" not in refusal.text
    missing = tuple(name for name in needs if name not in held)
    assert refusal.evidence["needs"] == needs
    assert refusal.evidence["missing"] == missing
    assert refusal.evidence["capability"] == missing[0]


@pytest.mark.parametrize(
    ("call", "held"),
    [
        (load_raw_tracepoint, TRACING),
        (load_xdp, ("CAP_BPF", "CAP_NET_ADMIN")),
        (create_hash, ("CAP_BPF",)),
        (attach_uprobe_multi, TRACING),
        (open_uprobe, ("CAP_SYS_ADMIN",)),
    ],
)
def test_the_capabilities_named_do_suffice(
    dropped: Dropped, call: Any, held: tuple[str, ...]
) -> None:
    perf.pmu_type("uprobe")  # sysfs is read before, so that the child only needs the call
    if call is attach_uprobe_multi:
        need("uprobe_multi")
    assert dropped(call, *held) is None


def test_sampling_needs_perfmon_or_more_where_the_sysctl_says_so(dropped: Dropped) -> None:
    result = dropped(sample_all, "CAP_PERFMON")
    if perf._paranoid() <= 2:
        assert result is None
    else:
        assert result.evidence["needs"] == ("CAP_SYS_ADMIN",)
        assert "kernel.perf_event_paranoid" in result.text
    assert dropped(sample_all, "CAP_SYS_ADMIN") is None


def test_ids_need_sys_admin(dropped: Dropped) -> None:
    refusal = dropped(lambda: bpf.next_id("prog"), *TRACING)
    assert "needs CAP_SYS_ADMIN" in refusal.text
    assert dropped(lambda: (bpf.next_id("prog") or 0) >= 0, "CAP_SYS_ADMIN") is True


def test_tracefs_of_others_is_a_privilege(dropped: Dropped) -> None:
    refusal = dropped(lambda: tracefs.tracepoint_id("sched", "sched_switch"), *TRACING)
    assert refusal.kinds[0] == "PrivilegeError"
    assert refusal.evidence["capability"] in ("CAP_SYS_ADMIN", "CAP_DAC_READ_SEARCH")
    both = ("CAP_SYS_ADMIN", "CAP_DAC_READ_SEARCH")
    number = dropped(lambda: tracefs.tracepoint_id("sched", "sched_switch"), *both)
    assert number == tracefs.tracepoint_id("sched", "sched_switch")


def test_features_do_not_mistake_privilege_for_absence(dropped: Dropped) -> None:
    def probe() -> Any:
        feature = features.Feature("x", "x", (5, 8), probes.ringbuf)
        try:
            feature.available()
        except PrivilegeError:
            return repr(feature)
        return "no refusal"

    assert dropped(probe) == "<Feature x: unknown>"


def test_other_users_processes(dropped: Dropped) -> None:
    parent = os.getpid()
    refusal = dropped(lambda: process.exe(parent))
    assert refusal.kinds[0] == "PrivilegeError"
    assert f"executable of process {parent} needs CAP_SYS_PTRACE" in refusal.text


def test_have_follows_the_effective_set(dropped: Dropped) -> None:
    def held() -> list[bool]:
        names = ("CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN", "CAP_SYS_ADMIN")
        return [capabilities.have(name) for name in names]

    assert dropped(held) == [False, False, False, False]
    assert dropped(held, "CAP_BPF", "CAP_NET_ADMIN") == [True, False, True, False]
    # CAP_SYS_ADMIN stands for the two that were split off it in 5.8.
    assert dropped(held, "CAP_SYS_ADMIN") == [True, True, False, True]


def test_descriptor_from_a_privileged_parent_works(dropped: Dropped) -> None:
    """Privileges are looked at when things are made, not when they are used."""
    with bpf.map_create(type=MapType.ARRAY, key_size=4, value_size=4, max_entries=1) as fd:

        def use() -> bytes:
            value = bytearray(4)
            bpf.map_update(fd, bytes(4), b"nobo")
            bpf.map_lookup(fd, bytes(4), value)
            return bytes(value)

        assert dropped(use) == b"nobo"


def test_forbidden_with_every_capability_names_other_suspects() -> None:
    error = capabilities.explain_eperm("BPF_PROG_LOAD", "loading program 'x'", TRACING)
    assert type(error).__name__ == "KernelError"
    assert "though the process has CAP_BPF and CAP_PERFMON" in str(error)
    assert "may forbid it" in error.hint


def test_root_of_a_user_namespace_is_told_so() -> None:
    code = (
        "from skep.kernel import bpf, capabilities\n"
        "print(capabilities.in_user_namespace(), capabilities.have('CAP_BPF'))\n"
        "try: bpf.map_create(type=1, key_size=4, value_size=4, max_entries=1, name='m')\n"
        "except PermissionError as error: print(error)\n"
    )
    command = ["unshare", "--user", "--map-root-user", sys.executable, "-c", code]
    source = os.path.dirname(os.path.dirname(os.path.dirname(capabilities.__file__)))
    environment = {**os.environ, "PYTHONPATH": source}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    first, second = result.stdout.splitlines()
    assert first == "True True"
    assert second.startswith("creating map 'm' needs CAP_BPF of the initial user namespace")
    assert "BPF token" in second


def test_fd_class_is_the_same_in_parent_and_child(dropped: Dropped) -> None:
    """A forked child closing its copy leaves the parent's open."""
    reader, writer = os.pipe()
    with FD(reader, "reader") as keep, FD(writer, "writer"):
        assert dropped(keep.close) is None
        assert os.fstat(keep.fileno())
