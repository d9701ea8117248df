"""Memory, perf events, tracefs, clocks, /proc and feature probes on the running kernel."""

from __future__ import annotations

import errno
import gc
import os
import re
import resource
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from needs import need, need_process

from skep.errors import (
    ClosedError,
    KernelError,
    NotFoundError,
    RangeError,
    UnsupportedError,
)
from skep.kernel import (
    bpf,
    capabilities,
    clock,
    constants,
    cpus,
    features,
    memory,
    perf,
    probes,
    process,
    release,
    rlimit,
    tracefs,
)
from skep.kernel.constants import MapFlags, MapType, PerfSoftware, PerfType
from skep.kernel.memory import Mapping
from skep.kernel.syscall import page_size

if TYPE_CHECKING:
    from skep.kernel.fd import FD


def array(entries: int = 1024) -> FD:
    return bpf.map_create(
        type=MapType.ARRAY,
        key_size=4,
        value_size=8,
        max_entries=entries,
        flags=MapFlags.MMAPABLE,
        name="shared",
    )


def mapped_pages() -> int:
    with open("/proc/self/maps") as lines:
        return sum("bpf" in line for line in lines)


def test_mapping_shows_what_the_map_holds() -> None:
    with array() as fd, Mapping(fd, 8192, writable=True) as shared:
        bpf.map_update(fd, (5).to_bytes(4, "little"), (77).to_bytes(8, "little"))
        assert memory.load_u64(shared.address + 40) == 77
        assert np.frombuffer(shared.view, dtype="<u8")[5] == 77
        memory.store_u64(shared.address + 48, 1 << 63)
        value = bytearray(8)
        bpf.map_lookup(fd, (6).to_bytes(4, "little"), value)
        assert int.from_bytes(value, "little") == 1 << 63
        assert memory.load_u32(shared.address + 52) == 1 << 31
        assert bytes(shared.view[48:56]) == bytes(value)


def test_mapping_outlives_its_descriptor_but_not_its_views() -> None:
    before = mapped_pages()
    waiting = set(memory._waiting)  # another test's, such as the kernel's BTF
    fd = array()
    shared = Mapping(fd, 8192)
    fd.close()
    assert mapped_pages() == before + 1
    column = np.frombuffer(shared.view, dtype="<u8")[:4]
    shared.close()
    shared.close()
    with pytest.raises(ClosedError, match="mapping of map 'shared' is closed"):
        _ = shared.address
    with pytest.raises(ClosedError):
        _ = shared.view
    assert column.tolist() == [0, 0, 0, 0]  # still there: no crash
    assert mapped_pages() == before + 1
    del column
    gc.collect()
    assert mapped_pages() == before
    assert set(memory._waiting) <= waiting


def test_read_only_mapping_cannot_be_written_through() -> None:
    with array() as fd, Mapping(fd, page_size) as shared:
        assert shared.view.readonly
        with pytest.raises(TypeError):
            shared.view[0] = 1


@pytest.mark.parametrize(("length", "offset"), [(0, 0), (-1, 0), (4096, 17), (4096, -4096)])
def test_mapping_of_nonsense(length: int, offset: int) -> None:
    with array() as fd, pytest.raises(RangeError, match="cannot be mapped"):
        Mapping(fd, length, offset=offset)


def test_refused_mapping_names_the_map() -> None:
    hash_map = bpf.map_create(type=1, key_size=4, value_size=8, max_entries=1, name="hash")
    with hash_map, pytest.raises(KernelError, match="mapping 4096 bytes of map 'hash' failed"):
        Mapping(hash_map, 4096)


def test_forgotten_mapping_warns_and_unmaps() -> None:
    before = mapped_pages()
    with array() as fd:
        shared = [Mapping(fd, 8192)]
        with pytest.warns(ResourceWarning, match="mapping of map 'shared' was never closed"):
            shared.clear()
    assert mapped_pages() == before


def test_fence_may_be_called_by_many_threads() -> None:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            for _ in range(2000):
                memory.fence()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test must see it
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_ring_buffer_pages() -> None:
    """Publish and read one record by hand, the way streams does."""
    with (
        bpf.map_create(
            type=MapType.RINGBUF, key_size=0, value_size=0, max_entries=page_size, name="ring"
        ) as ring,
        Mapping(ring, page_size, writable=True) as consumer,
        Mapping(ring, 3 * page_size, offset=page_size) as producer,
    ):
        assert memory.load_u64(producer.address) == 0
        memory.store_u64(consumer.address, 0)
        assert memory.load_u64(consumer.address) == 0
        with pytest.raises(KernelError):
            Mapping(ring, page_size, offset=page_size, writable=True).close()


def test_private_tracefs_changes_nothing_on_the_machine() -> None:
    def mounts() -> str:
        with open("/proc/self/mountinfo") as file:
            return file.read()

    before = mounts()
    with tracefs.TraceFS() as fs:
        assert "sched" in fs.listdir("events")
        during = mounts()
        assert int(fs.read("events/sched/sched_switch/id")) > 0
    assert during == before
    if not any(os.path.isdir(f"{place}/events") for place in tracefs.MOUNT_POINTS):
        assert fs.where == "a private mount of tracefs"


def test_tracepoint_ids_agree_with_their_format() -> None:
    number = tracefs.tracepoint_id("sched", "sched_switch")
    with tracefs.TraceFS() as fs:
        text = fs.read("events/sched/sched_switch/format")
    assert re.search(rf"^ID: {number}$", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("category", "name", "hint"),
    [
        ("sched", "shed_switch", "sched/sched_switch"),
        ("shed", "sched_switch", "sched/sched_switch"),
        ("syscalls", "sys_enter_opennat", "syscalls/sys_enter_openat"),
        ("../../etc", "passwd", ""),
        ("sched", "..", ""),
        ("", "", ""),
        ("sched", "a\0b", ""),
    ],
)
def test_missing_tracepoint_suggests_names(category: str, name: str, hint: str) -> None:
    with pytest.raises(NotFoundError, match="no tracepoint") as caught:
        tracefs.tracepoint_id(category, name)
    assert hint in caught.value.hint


def test_tracepoints_lists_them_all() -> None:
    found = list(tracefs.tracepoints())
    assert ("sched", "sched_switch") in found
    assert len(found) == len(set(found)) > 100
    assert found == sorted(found)
    walk = tracefs.tracepoints()
    next(walk)
    walk.close()  # type: ignore[attr-defined]


def test_perf_event_counts() -> None:
    attr = perf.PerfEventAttr(type=PerfType.SOFTWARE, config=PerfSoftware.PAGE_FAULTS, period=1)
    with perf.perf_event_open(attr, pid=0, what="page faults") as event:
        before = int.from_bytes(os.read(event.fileno(), 8), "little")
        block = bytearray(8 << 20)  # fresh pages, touched one by one
        block[::page_size] = bytes(len(block) // page_size)
        after = int.from_bytes(os.read(event.fileno(), 8), "little")
    assert after > before


@pytest.mark.parametrize("bad", [{"pid": -1, "cpu": -1}, {"pid": 0, "cpu": 100_000}])
def test_refused_perf_event_names_it(bad: dict[str, int]) -> None:
    attr = perf.PerfEventAttr(type=PerfType.SOFTWARE, config=PerfSoftware.CPU_CLOCK)
    with pytest.raises((KernelError, UnsupportedError), match="cpu-clock"):
        perf.perf_event_open(attr, what="cpu-clock", pid=bad["pid"], cpu=bad["cpu"])


def test_missing_event_source_is_named() -> None:
    with pytest.raises(UnsupportedError, match="no perf event source 'nonesuch'"):
        perf.pmu_type("nonesuch")
    with pytest.raises(UnsupportedError, match="have no field 'nonesuch'"):
        perf.pmu_format_bit("uprobe", "nonesuch")
    assert perf.pmu_format_bit("uprobe", "ref_ctr_offset") == 32


def test_processors_agree_with_the_c_library() -> None:
    assert cpus.possible_cpus() == os.sysconf("SC_NPROCESSORS_CONF")
    assert len(cpus.online_cpus()) == os.sysconf("SC_NPROCESSORS_ONLN")
    assert cpus.highest_cpu() >= cpus.possible_cpus() - 1


def test_clock_offset_is_the_difference_of_the_clocks() -> None:
    for name, number in (("monotonic", time.CLOCK_MONOTONIC), ("boottime", time.CLOCK_BOOTTIME)):
        offset = clock.offset_to_realtime(name)
        now = time.clock_gettime_ns(number) + offset
        assert abs(now - time.time_ns()) < 50_000_000
    assert clock.suspended() >= 0
    with pytest.raises(RangeError, match="not a clock"):
        clock.offset_to_realtime("sundial")


def test_process_knows_itself_and_its_child() -> None:
    code = "print(flush=True); input()"
    command = [sys.executable, "-c", code]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        child.stdout.readline()  # until then its command line may still be this process's
        assert process.exists(child.pid)
        assert child.pid in process.pids()
        assert os.path.samefile(process.exe(child.pid), process.executable_file(child.pid))
        assert process.command(child.pid)[1:] == ["-c", code]
        assert process.start_time(child.pid) >= process.start_time(os.getpid())
        assert any(part.executable for part in process.maps(child.pid))
        pidfd = process.pidfd_open(child.pid)
    finally:
        child.communicate(b"\n")
    with pidfd, pytest.raises(NotFoundError, match=f"there is no process {child.pid}"):
        process.comm(child.pid)
    assert not process.exists(child.pid)


def test_kernel_threads_have_no_executable() -> None:
    kthreadd = 2
    need_process(kthreadd, "kthreadd")
    with pytest.raises(NotFoundError, match="it is a kernel thread"):
        process.exe(kthreadd)
    assert process.command(kthreadd) == []
    assert process.maps(kthreadd) == []


@pytest.mark.parametrize("name", sorted(features.FEATURES))
def test_feature_probe(name: str) -> None:
    """A kernel too old may lack a feature (skip); one new enough must have it."""
    feature = features.feature(name)
    if feature.available():
        feature.check()
        return
    with pytest.raises(UnsupportedError, match=re.escape(feature.title)) as caught:
        feature.check()
    assert caught.value.feature == name
    if not feature.expected:
        need(name)
    code = caught.value.evidence["errno"]
    if name in ("kprobe_multi", "kprobe_session"):
        assert code == errno.EOPNOTSUPP  # built without CONFIG_FPROBE, as Debian's 6.1 is
        return
    # This test machine's kernel forbids the fentry family before looking at the program.
    forbidden = capabilities.have("CAP_SYS_ADMIN") and code == errno.EPERM
    assert name == "fentry", f"{caught.value}: {caught.value.__cause__}"
    assert forbidden


def test_feature_that_is_missing_says_what_the_kernel_answered() -> None:
    def probe() -> None:
        bpf.map_create(type=9999, key_size=4, value_size=4, max_entries=1)

    missing = features.Feature("nonesuch", "maps of kind nonesuch", (99, 0), probe)
    with pytest.raises(UnsupportedError, match="lacks maps of kind nonesuch") as caught:
        missing.check()
    assert "needs Linux 99.0 or newer" in caught.value.hint
    assert isinstance(caught.value.__cause__, KernelError)
    assert caught.value.evidence["errno"] == caught.value.__cause__.errno
    assert not missing.available()
    old = features.Feature("nonesuch", "maps of kind nonesuch", (3, 0), probe)
    with pytest.raises(UnsupportedError) as caught:
        old.check()
    assert "not built in, or forbidden" in caught.value.hint


def test_probes_can_say_no() -> None:
    """A probe that cannot fail proves nothing."""
    with pytest.raises(KernelError):
        probes.batch(MapType.STACK)
    with pytest.raises(KernelError):
        probes._load_btf(probes._type(25, 1, 4))
    with pytest.raises(KernelError):
        probes._program(constants.ProgramType.SOCKET_FILTER, insns=probes._call_helper(9999))
    with pytest.raises(UnsupportedError):
        probes.helper(constants.ProgramType.TRACEPOINT, 9999)


def test_memory_limit_is_nothing_to_fear_on_this_kernel() -> None:
    need("memcg_accounting")
    before = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    assert rlimit.raise_memlock()
    assert resource.getrlimit(resource.RLIMIT_MEMLOCK) == before  # not touched for nothing


def test_release_agrees_with_uname() -> None:
    major, minor, patch = release.release()
    assert os.uname().release.startswith(f"{major}.{minor}.{patch}")


@pytest.mark.parametrize(
    ("kind", "enum", "prefix"),
    [
        (constants.Command, "bpf_cmd", "BPF_"),
        (constants.MapType, "bpf_map_type", "BPF_MAP_TYPE_"),
        (constants.ProgramType, "bpf_prog_type", "BPF_PROG_TYPE_"),
        (constants.AttachType, "bpf_attach_type", "BPF_"),
        (constants.LinkType, "bpf_link_type", "BPF_LINK_TYPE_"),
        (constants.PerfLinkType, "bpf_perf_event_type", "BPF_PERF_EVENT_"),
        (constants.PerfSoftware, "perf_sw_ids", "PERF_COUNT_SW_"),
        (constants.PerfType, "perf_type_id", "PERF_TYPE_"),
    ],
)
def test_numbers_agree_with_the_kernels_own(kind: type, enum: str, prefix: str) -> None:
    from skep.btf.kernel import kernel_btf

    if enum == "bpf_perf_event_type":
        need("uprobe_multi")  # both came with Linux 6.6
    values = dict(kernel_btf().find_type(enum).values)  # type: ignore[attr-defined]
    checked = 0
    for name, member in kind.__members__.items():  # type: ignore[attr-defined]
        if prefix + name in values:
            assert values[prefix + name] == member, name
            checked += 1
    # All but the end marker and the old names of renamed members.
    assert checked >= min(len(kind), len(values)) - 3  # type: ignore[arg-type]
    known = {int(member) for member in kind}  # type: ignore[attr-defined]
    last = max(known)
    # The kernel may be newer than this list, but nothing up to its end may be missing.
    missing = {n for n, v in values.items() if v <= last and v not in known}
    assert not {n for n in missing if not n.startswith("__") and not n.endswith("_MAX")}
