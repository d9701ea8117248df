"""What is done with maps from user space, beyond looking at their values."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from corpus_network import own_cgroup, udp

from skep.kernel import bpf, perf
from skep.kernel.constants import PerfSoftware, PerfType
from skep.kernel.cpus import possible_cpus
from skep.kernel.memory import Mapping
from skep.kernel.syscall import page_size

if TYPE_CHECKING:
    from contextlib import ExitStack

    import skep

BPFFS = "/sys/fs/bpf"
PIN = f"{BPFFS}/skep_corpus_runs"


def mounted_bpffs(_spec: skep.ObjectSpec, _compiler: str, stack: ExitStack) -> None:
    """Have /sys/fs/bpf mounted for as long as the object is loaded, and the pin removed then."""
    if not os.path.ismount(BPFFS):
        subprocess.run(["mount", "-t", "bpf", "none", BPFFS], check=True)
        stack.callback(subprocess.run, ["umount", BPFFS], check=True)
    stack.callback(Path(PIN).unlink, missing_ok=True)


def loads_again(live: skep.Object) -> None:
    """Load the same object once more: it finds the pinned map, and counts on."""
    assert live.programs["count"].test_run().retval == 1
    with live.spec.load() as second:
        assert second.maps["skep_corpus_runs"].id == live.maps["skep_corpus_runs"].id
        assert second.programs["count"].test_run().retval == 2
    assert live.maps["skep_corpus_runs"][0] == 2


def percpu(live: skep.Object) -> None:
    """Add up what all CPUs hold."""
    for _ in range(3):
        live.programs["count"].test_run()
    assert sum(live.maps["in_array"][0]) == 3
    assert sum(live.maps["in_hash"][9]) == 6


def forgets(live: skep.Object) -> None:
    """Look at which keys are left."""
    for name in ("recent", "for_each_cpu"):
        left = dict(live.maps[name].items())
        assert left[199] == 199
        assert len(left) < 200


def inner_values(live: skep.Object) -> None:
    assert (live.maps["first"][0], live.maps["third"][0]) == (100, 102)


def puts_inside(live: skep.Object) -> None:
    """Store one map in another."""
    live.maps["inner"][6] = 60
    live.maps["outer"][(5).to_bytes(4, sys.byteorder)] = live.maps["inner"]


def ring(live: skep.Object) -> None:
    """Read five records."""
    with live.maps["events"].stream() as stream:
        assert live.programs["send"].test_run().retval == 0
        batch = stream.read(timeout=5.0)
    assert batch["number"].tolist() == [0, 1, 2, 3, 4]
    assert batch["square"].tolist() == [0, 1, 4, 9, 16]
    assert batch["flag"].tolist() == [0, 1, 0, 1, 0]


def typed_ring(live: skep.Object) -> None:
    """Read a record whose type the map itself names."""
    with live.maps["events"].stream() as stream:
        assert live.programs["send"].test_run().retval == 0
        batch = stream.read(timeout=5.0)
    assert (batch["a"].tolist(), batch["b"].tolist()) == ([3], [4])


def writes_to_ring(live: skep.Object) -> None:
    """Write records as user space does (kernel/bpf/ringbuf.c): header, number, position."""
    size = live.spec.maps["input"].max_entries
    with Mapping(
        live.maps["input"].fd, page_size + 2 * size, offset=page_size, writable=True
    ) as memory:
        position = 0
        for number in (40, 2):
            data = (8).to_bytes(4, sys.byteorder) + bytes(4) + number.to_bytes(8, sys.byteorder)
            memory.view[page_size + position : page_size + position + 16] = data
            position += 16
        memory.view[0:8] = position.to_bytes(8, sys.byteorder)
    live.programs["drain"].test_run()


def reads_an_event(live: skep.Object) -> None:
    """Put a counter of this thread's into the array; the program reads it."""
    counters = live.maps["counters"]
    assert counters.info.max_entries == possible_cpus()
    attr = perf.PerfEventAttr(type=PerfType.SOFTWARE, config=PerfSoftware.TASK_CLOCK)
    with perf.perf_event_open(attr, pid=0, what="task clock") as event:
        counters[0] = event
        live.programs["reads"].test_run()
    assert live.variables["result"].value == 0
    value = live.variables["value"].value
    assert value.counter > 0
    assert value.enabled >= value.running > 0


def has_a_stack(live: skep.Object) -> None:
    """Look the stack up; its addresses are the kernel's."""
    live.programs["take"].test_run()
    stack = bytearray(live.spec.maps["stacks"].value_size)
    id_ = live.variables["id"].value
    assert bpf.map_lookup(live.maps["stacks"].fd, id_.to_bytes(4, sys.byteorder), stack)
    addresses = memoryview(stack).cast("Q")
    assert addresses[0] >> 63
    assert addresses[1] >> 63


def three_datagrams(_live: skep.Object) -> None:
    with udp() as receiver, udp() as sender:
        for _ in range(3):
            sender.sendto(b"x", receiver.getsockname())
            receiver.recv(1)


def opens_a_file(live: skep.Object) -> None:
    """Open one file three times."""
    live.variables["inode_number"] = os.stat("/proc/version").st_ino
    with live.attach():
        for _ in range(3):
            with open("/proc/version", "rb"):
                pass


def own_group(live: skep.Object) -> None:
    """Put this process's own control group into the array."""
    group = os.open(own_cgroup(), os.O_RDONLY)
    try:
        live.maps["groups"][0] = group
    finally:
        os.close(group)
    live.programs["ask"].test_run()


def flags_are_there(live: skep.Object) -> None:
    """Compare the flags that the kernel has."""
    assert live.maps["bytes"].info.flags == 1 | 4 | 0x40
    assert live.maps["given"].info.flags == 0x80 | 0x400
    live.maps["given"][1] = 42


def lo(live: skep.Object) -> None:
    """Store the loopback interface, which is always the first."""
    live.maps["by_index"][0] = 1
    live.maps["by_hash"][7] = 1


def prices(live: skep.Object) -> None:
    for key in (1, 2, 3):
        live.maps["prices"][key] = key * 100


def legacy(live: skep.Object) -> None:
    """Fill maps that have no types: with bytes."""
    live.maps["second"][(77).to_bytes(8, sys.byteorder)] = (9).to_bytes(4, sys.byteorder)


def legacy_bare(live: skep.Object) -> None:
    for index in range(3):
        value = (index + 10).to_bytes(4, sys.byteorder)
        bpf.map_update(live.maps["numbers"].fd, index.to_bytes(4, sys.byteorder), value)


def legacy_counted(live: skep.Object) -> None:
    value = bytearray(8)
    assert bpf.map_lookup(live.maps["first"].fd, (1).to_bytes(4, sys.byteorder), value)
    assert int.from_bytes(value, sys.byteorder) == 5
    assert live.maps["second"].info.flags == 1
