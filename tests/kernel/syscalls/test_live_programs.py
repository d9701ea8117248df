"""bpf(2) program, link and BTF commands on the running kernel."""

from __future__ import annotations

import errno
import os
import struct

import pytest
from needs import need

from skep.errors import KernelError, RangeError
from skep.kernel import bpf, perf, tracefs
from skep.kernel.constants import AttachType, LinkType, MultiFlags, PerfSoftware, ProgramType
from skep.kernel.fd import FD
from skep.kernel.release import release

RETURN_0 = struct.pack("=QQ", 0x00B7, 0x0095)
NO_R0 = struct.pack("=Q", 0x0095)


def return_value(number: int) -> bytes:
    return struct.pack("=BBhiQ", 0xB7, 0, 0, number, 0x0095)


def load(type: ProgramType, insns: bytes = RETURN_0, **options: int) -> FD:
    return bpf.prog_load(
        type=type,
        insns=insns,
        license="GPL",
        name="prog",
        **options,  # type: ignore[arg-type]
    )


def libc_offsets(*names: str) -> tuple[str, list[int]]:
    """Find file offsets of libc functions by asking this process's own memory map."""
    import ctypes

    from skep.kernel.process import maps

    library = ctypes.CDLL(None)
    offsets = []
    path = ""
    for name in names:
        address = ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0
        for part in maps(os.getpid()):
            if part.start <= address < part.end:
                offsets.append(address - part.start + part.offset)
                path = part.path
    return path, offsets


def test_socket_filter_runs_on_given_data() -> None:
    with load(ProgramType.SOCKET_FILTER, return_value(42)) as prog:
        packet = bytes(range(64))
        run = bpf.prog_test_run(prog, data_in=packet, data_out_size=100, repeat=1000)
        assert run.retval == 42
        assert len(run.data_out) == 64
        assert run.duration_ns < 1_000_000
        with pytest.raises(KernelError, match="larger than the buffer") as caught:
            bpf.prog_test_run(prog, data_in=packet, data_out_size=10)
        assert caught.value.errno == errno.ENOSPC


def test_raw_tracepoint_test_run_sees_its_context() -> None:
    # r0 = *(u64 *)(r1 + 8); exit
    insns = struct.pack("=BBhiQ", 0x79, 0x10, 8, 0, 0x0095)
    with load(ProgramType.RAW_TRACEPOINT, insns) as prog:
        run = bpf.prog_test_run(prog, ctx_in=struct.pack("=QQ", 1, 77))
        assert run.retval == 77


def test_tracepoint_programs_cannot_be_test_run() -> None:
    with load(ProgramType.TRACEPOINT) as prog:
        with pytest.raises(KernelError, match=r"cannot be test-run \[ENOTSUPP\]") as caught:
            bpf.prog_test_run(prog)
        assert caught.value.errno == 524


def test_refusal_carries_the_log_and_its_size() -> None:
    log = bytearray(4096)
    with pytest.raises(KernelError, match="loading program 'prog' failed: the verifier") as caught:
        bpf.prog_load(
            type=ProgramType.RAW_TRACEPOINT,
            insns=NO_R0,
            license="GPL",
            name="prog",
            log_level=1,
            log_buffer=log,
        )
    assert b"R0 !read_ok" in log
    assert caught.value.errno == errno.EACCES
    size = caught.value.evidence["log_true_size"]
    assert size == (log.index(0) + 1 if release() >= (6, 4, 0) else 0)


def test_small_log_buffer_is_enospc_with_the_size_needed() -> None:
    log = bytearray(128)
    insns = struct.pack("=Q", 0x00B7) * 200 + struct.pack("=Q", 0x0095)
    with pytest.raises(KernelError, match="log buffer is too small") as caught:
        bpf.prog_load(
            type=ProgramType.RAW_TRACEPOINT,
            insns=insns,
            license="GPL",
            name="prog",
            log_level=2,
            log_buffer=log,
        )
    size = caught.value.evidence["log_true_size"]
    if release() < (6, 4, 0):
        assert size == 0
        return
    assert size > 200 * 5
    log = bytearray(size)
    bpf.prog_load(
        type=ProgramType.RAW_TRACEPOINT,
        insns=insns,
        license="GPL",
        log_level=2,
        log_buffer=log,
    ).close()
    assert log.index(0) == size - 1


@pytest.mark.parametrize("insns", [b"", b"1234567", RETURN_0 + b"\0"])
def test_code_that_is_no_instructions(insns: bytes) -> None:
    with pytest.raises(RangeError, match="no instructions of 8 bytes"):
        load(ProgramType.SOCKET_FILTER, insns)


def test_unknown_program_type_is_named() -> None:
    with pytest.raises(KernelError, match="loading program 'prog' failed") as caught:
        load(9999)  # type: ignore[arg-type]
    assert caught.value.errno == errno.EINVAL


def test_raw_tracepoint_link_and_info() -> None:
    with load(ProgramType.RAW_TRACEPOINT) as prog:
        info = bpf.prog_info(prog)
        assert (info.name, info.kind, info.gpl_compatible) == ("prog", "raw_tracepoint", True)
        assert info.verified_instructions == 2
        assert info.xlated_length == 16
        cookie = 5 if release() >= (6, 10, 0) else 0
        with bpf.raw_tracepoint_open(prog, "sched_process_exec", cookie=cookie) as link:
            told = bpf.link_info(link)
            assert told.type == LinkType.RAW_TRACEPOINT
            assert told.prog_id == info.id
            assert told.details["tp_name"] == "sched_process_exec"
            assert told.details["cookie"] == (5 if release() >= (6, 16, 0) else 0)
            with pytest.raises(KernelError, match="detaches when it is closed"):
                bpf.link_detach(link)
        with pytest.raises(KernelError, match="no tracepoint of this name") as caught:
            bpf.raw_tracepoint_open(prog, "no_such_tracepoint")
        assert caught.value.errno == errno.ENOENT
        assert caught.value.evidence["target"] == "no_such_tracepoint"


def test_program_knows_its_maps_and_runs_are_counted() -> None:
    with bpf.map_create(type=2, key_size=4, value_size=8, max_entries=1, name="hits") as hits:
        # *(u32 *)(fp - 4) = 0; r2 = fp - 4; r1 = map; r0 = lookup; if r0 == 0 goto out;
        # lock *(u64 *)r0 += 1 ; out: r0 = 0; exit
        insns = b"".join(
            (
                struct.pack("=BBhi", 0x62, 0x0A, -4, 0),
                struct.pack("=BBhi", 0xBF, 0xA2, 0, 0),
                struct.pack("=BBhi", 0x07, 0x02, 0, -4),
                struct.pack("=BBhi", 0x18, 0x11, 0, hits.fileno()),
                struct.pack("=BBhi", 0x00, 0x00, 0, 0),
                struct.pack("=BBhi", 0x85, 0x00, 0, 1),
                struct.pack("=BBhi", 0x15, 0x00, 2, 0),
                struct.pack("=BBhi", 0xB7, 0x01, 0, 1),
                struct.pack("=BBhi", 0xDB, 0x10, 0, 0),
                RETURN_0,
            )
        )
        tracepoint = tracefs.tracepoint_id("syscalls", "sys_enter_getppid")
        attr = perf.PerfEventAttr(type=2, config=tracepoint)
        value = bytearray(8)
        with (
            load(ProgramType.TRACEPOINT, insns) as prog,
            bpf.enable_stats(),
            # This process on any processor: others' calls do not count.
            perf.perf_event_open(attr, pid=0, what="tracepoint getppid") as event,
            bpf.link_create_perf_event(prog, event, cookie=99) as link,
        ):
            assert bpf.prog_info(prog).map_ids == (bpf.map_info(hits).id,)
            told = bpf.link_info(link)
            expected = {"event": "tracepoint", "tp_name": "sys_enter_getppid", "cookie": 99}
            assert told.details == (expected if release() >= (6, 9, 0) else {})
            for _ in range(10):
                os.getppid()
            assert bpf.map_lookup(hits, bytes(4), value)
            assert int.from_bytes(value, "little") == 10
            info = bpf.prog_info(prog)
            assert info.run_cnt == 10
            assert info.run_time_ns > 0
            event.close()  # the link holds the event
            os.getppid()
            assert bpf.map_lookup(hits, bytes(4), value)
            assert int.from_bytes(value, "little") == 11
        os.getppid()
        bpf.map_lookup(hits, bytes(4), value)
        assert int.from_bytes(value, "little") == 11


def test_set_bpf_ioctl_attaches_until_the_event_closes() -> None:
    attr = perf.PerfEventAttr(type=1, config=PerfSoftware.CPU_CLOCK, frequency=99, disabled=True)
    with (
        load(ProgramType.PERF_EVENT) as prog,
        perf.perf_event_open(attr, pid=0, what="cpu-clock") as event,
    ):
        perf.set_bpf(event, prog)
        perf.enable(event)
        perf.disable(event)
        with pytest.raises(KernelError, match="attaching program 'prog' to cpu-clock"):
            perf.set_bpf(event, prog)


def test_uprobe_by_perf_event_link() -> None:
    path, (offset,) = libc_offsets("getppid")
    attr = perf.PerfEventAttr(
        type=perf.pmu_type("uprobe"), config1=os.fsencode(path) + b"\0", config2=offset
    )
    with (
        load(ProgramType.KPROBE) as prog,
        perf.perf_event_open(attr, pid=0, what=f"uprobe {path}") as event,
        bpf.link_create_perf_event(prog, event) as link,
        bpf.enable_stats(),
    ):
        details = bpf.link_info(link).details
        if release() >= (6, 6, 0):
            assert (details["event"], details["offset"]) == ("uprobe", offset)
            assert os.path.basename(details["file_name"]) == os.path.basename(path)
        else:
            assert details == {}
        os.getppid()
        os.getppid()
        assert bpf.prog_info(prog).run_cnt == 2


def test_uprobe_multi_link() -> None:
    need("uprobe_multi")
    path, offsets = libc_offsets("getppid", "getpgrp")
    with (
        load(ProgramType.KPROBE, expected_attach_type=AttachType.TRACE_UPROBE_MULTI) as prog,
        bpf.link_create_uprobe_multi(
            prog, path, offsets, cookies=[1, 2], pid=os.getpid(), flags=MultiFlags.RETURN
        ) as link,
        bpf.enable_stats(),
    ):
        told = bpf.link_info(link)
        assert told.kind == "uprobe_multi"
        assert told.details["count"] == 2
        assert told.details["pid"] == os.getpid()
        os.getppid()
        os.getpgrp()
        assert bpf.prog_info(prog).run_cnt == 2
        with pytest.raises(RangeError, match="1 cookies were given for 2 offsets"):
            bpf.link_create_uprobe_multi(prog, path, offsets, cookies=[1])


def test_link_of_the_wrong_kind_is_explained() -> None:
    attr = perf.PerfEventAttr(type=1, config=PerfSoftware.DUMMY, period=1, disabled=True)
    with (
        load(ProgramType.KPROBE) as prog,
        perf.perf_event_open(attr, pid=0, what="dummy event") as event,
        pytest.raises(KernelError, match=r"attaching program 'prog' \(dummy event\) failed") as e,
    ):
        bpf.link_create_perf_event(prog, event)
    assert e.value.errno == errno.EINVAL


def test_netns_link_updates_and_detaches() -> None:
    net = FD(os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC), "network namespace")
    options = {"expected_attach_type": int(AttachType.SK_LOOKUP)}
    with (
        net,
        load(ProgramType.SK_LOOKUP, return_value(1), **options) as first,
        load(ProgramType.SK_LOOKUP, return_value(1), **options) as second,
        bpf.link_create(first, net, AttachType.SK_LOOKUP) as link,
    ):
        assert bpf.link_info(link).details["attach_type"] == "sk_lookup"
        bpf.link_update(link, second, old_prog=first)
        assert bpf.link_info(link).prog_id == bpf.prog_info(second).id
        with pytest.raises(KernelError, match="swapping the program of link of program 'prog'"):
            bpf.link_update(link, second, old_prog=first)
        bpf.link_detach(link)
        assert bpf.link_info(link).details["netns_ino"] == 0


def test_btf_loads_and_comes_back() -> None:
    # One type: int "int", 4 bytes, signed
    types = struct.pack("=IIII", 1, 1 << 24, 4, 1 << 24 | 32)
    strings = b"\0int\0"
    data = struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, 16, 16, 5) + types + strings
    from skep.kernel.bpf.info import btf_data

    with bpf.btf_load(data) as fd:
        assert btf_data(fd) == data
        info = bpf.btf_info(fd)
        assert (info.size, info.is_kernel, info.name) == (len(data), False, "")
        with bpf.map_create(
            type=1,
            key_size=4,
            value_size=4,
            max_entries=1,
            btf_fd=fd,
            btf_key_type_id=1,
            btf_value_type_id=1,
        ) as typed:
            told = bpf.map_info(typed)
            assert (told.btf_id, told.btf_key_type_id) == (info.id, 1)

    log = bytearray(4096)
    with pytest.raises(KernelError, match="loading BTF failed") as caught:
        bpf.btf_load(b"\0" + data[1:], log_level=1, log_buffer=log)
    assert caught.value.errno == errno.EINVAL
    assert b"magic" in log.lower()


def test_kernel_btf_by_id() -> None:
    first = bpf.next_id("btf")
    assert first == 1
    with bpf.fd_by_id("btf", first) as fd:
        info = bpf.btf_info(fd)
    assert (info.name, info.is_kernel) == ("vmlinux", True)
    assert info.size == os.path.getsize("/sys/kernel/btf/vmlinux")


def test_iterators_refuse_other_programs() -> None:
    # A tracing program needs the BTF id of its target, which is the btf room's to find; any
    # other program is refused by the same command.
    with load(ProgramType.SOCKET_FILTER) as prog:
        with pytest.raises(KernelError, match="attaching program 'prog'"):
            bpf.link_create(prog, None, AttachType.TRACE_ITER)
        with pytest.raises(KernelError, match="starting program 'prog'"):
            bpf.iter_create(prog)
