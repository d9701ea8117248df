"""Local storages: what programs keep with tasks, files, sockets and cgroups."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from map_subjects import cgroup
from needs import need

import skep
from skep.errors import (
    ClosedError,
    KernelError,
    KeyPresentError,
    LoadError,
    MissingKeyError,
    NotFoundError,
    TypeMismatchError,
    UnsupportedError,
)
from skep.kernel import bpf
from skep.kernel.constants import MapFlags, MapType, UpdateFlags
from skep.kernel.process import pidfd_open
from skep.kernel.release import release
from skep.maps import CgroupStorage, InodeStorage, SocketStorage, TaskStorage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from compiling import CompileBpf

TASKS = r"""// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <skep/bpf.h>

char LICENSE[] SEC("license") = "GPL";

struct calls { __u64 count; __u32 last; };

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct calls);
} calls_map SEC(".maps");

__u32 process;

SEC("raw_tp/sys_enter")
int on_enter(__u64 *arguments)
{
	struct calls *calls;

	if (bpf_get_current_pid_tgid() >> 32 != process || arguments[1] != 110) /* getppid */
		return 0;
	calls = bpf_task_storage_get(&calls_map, bpf_get_current_task_btf(), 0, 1);
	if (calls) {
		calls->count++;
		calls->last = bpf_get_current_pid_tgid();
	}
	return 0;
}
"""

SOCKETS = r"""// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <skep/bpf.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u64);
} sent SEC(".maps");

struct bpf_sock { __u32 bound_dev_if, family, type, protocol; };

SEC("cgroup/sock_create")
int on_create(struct bpf_sock *sock)
{
	__u64 *value = bpf_sk_storage_get(&sent, sock, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (value)
		*value = 1000 + sock->protocol;
	return 1;
}
"""


def number(value: int) -> bytes:
    return value.to_bytes(8, "little")


@pytest.fixture
def storage() -> Iterator[Callable[[MapType], Any]]:
    """Make storages of 8 bytes from Python alone."""
    made = []

    def storage(type: MapType) -> Any:
        live = skep.MapSpec(name="kept", type=type, value_size=8).create()
        made.append(live)
        return live

    yield storage
    for live in made:
        live.close()


def test_a_program_counts_by_task(compile_bpf: CompileBpf) -> None:
    with skep.ObjectSpec.from_file(compile_bpf(TASKS)).load() as live, live.attach():
        calls: Any = live.maps["calls_map"]
        assert isinstance(calls, TaskStorage)
        me = os.getpid()
        assert me not in calls
        live.variables["process"] = me
        for _ in range(5):
            os.getppid()
        live.variables["process"] = 0
        assert calls[me] == (5, me)
        assert calls.get(me).count == 5
        calls[me] = {"count": 70, "last": 1}
        with pidfd_open(me) as pidfd:
            assert calls[pidfd] == (70, 1)
        assert calls.get(1) is None
        assert calls.get(1, 7) == 7
        assert calls.pop(me) == (70, 1)
        with pytest.raises(MissingKeyError, match=f"'calls_map' has no key {me}"):
            _ = calls[me]


def test_an_object_may_leave_out_what_can_be_filled_in(compile_bpf: CompileBpf) -> None:
    source = TASKS.replace("__type(key, int)", "__uint(key_size, 4)")
    source = source.replace("__uint(map_flags, BPF_F_NO_PREALLOC);", "")
    with skep.ObjectSpec.from_file(compile_bpf(source)).load() as live, live.attach():
        calls: Any = live.maps["calls_map"]
        live.variables["process"] = os.getpid()
        os.getppid()
        live.variables["process"] = 0
        assert calls[os.getpid()].last == os.getpid()
        with TaskStorage.from_id(calls.id) as again:
            assert again[os.getpid()].last == os.getpid()


def test_threads_have_values_of_their_own(storage: Callable[[MapType], Any]) -> None:
    kept = storage(MapType.TASK_STORAGE)
    started, finish = threading.Event(), threading.Event()
    tids = []

    def run() -> None:
        tids.append(threading.get_native_id())
        started.set()
        finish.wait()

    thread = threading.Thread(target=run)
    thread.start()
    started.wait()
    try:
        kept[os.getpid()] = number(1)
        if release()[:2] < (6, 9):
            message = f"{tids[0]} is a thread of process {os.getpid()}"
            with pytest.raises(UnsupportedError, match=message) as caught:
                kept[tids[0]] = number(2)
            assert "6.9" in caught.value.hint
        else:
            assert tids[0] not in kept
            kept[tids[0]] = number(2)
            assert (kept[tids[0]], kept[os.getpid()]) == (number(2), number(1))
    finally:
        finish.set()
        thread.join()


def test_a_process_that_is_gone(storage: Callable[[MapType], Any]) -> None:
    kept = storage(MapType.TASK_STORAGE)
    child = subprocess.Popen(["true"])
    with pidfd_open(child.pid) as pidfd:
        kept[child.pid] = number(1)
        child.wait()
        for attempt in (
            lambda: kept[pidfd],
            lambda: kept.get(pidfd),
            lambda: pidfd in kept,
            lambda: kept.store(pidfd, number(1)),
            lambda: kept.replace(pidfd, number(1)),
            lambda: kept.pop(pidfd, None),
        ):
            with pytest.raises(NotFoundError, match="has ended, and its storage with it"):
                attempt()
        with pytest.raises(NotFoundError, match=f"no process or thread {child.pid} in this pid"):
            _ = kept[child.pid]
    with pytest.raises(ClosedError):
        _ = kept[pidfd]


@pytest.mark.parametrize("wrong", ["self", 0, -1, 1 << 40, True, 1.5, None])
def test_what_is_no_pid(storage: Callable[[MapType], Any], wrong: Any) -> None:
    with pytest.raises(TypeMismatchError, match="'kept', key: expected a pid, or an object with"):
        _ = storage(MapType.TASK_STORAGE)[wrong]


def test_a_descriptor_of_something_else(storage: Callable[[MapType], Any]) -> None:
    with open("/dev/null") as file, socket.socket() as one:
        with pytest.raises(TypeMismatchError, match=r"expected a pid or a pidfd, not .*/dev/null"):
            _ = storage(MapType.TASK_STORAGE)[file]
        with pytest.raises(TypeMismatchError, match=r"expected a socket, not .*/dev/null"):
            storage(MapType.SK_STORAGE)[file] = number(1)
        with pytest.raises(TypeMismatchError, match="socket"):
            _ = storage(MapType.TASK_STORAGE)[one]


def test_access(storage: Callable[[MapType], Any]) -> None:
    kept, me = storage(MapType.TASK_STORAGE), os.getpid()
    kept.insert(me, number(1))
    with pytest.raises(KeyPresentError, match=f"has key {me} already") as present:
        kept.insert(me, number(2))
    assert present.value.key == me
    kept.replace(me, number(3))
    with pytest.raises(MissingKeyError, match=r"has no key 1\b") as missing:
        kept.replace(1, number(3))
    assert missing.value.key == 1
    assert kept.setdefault(me, number(9)) == number(3)
    assert kept.setdefault(1, number(9)) == number(9)
    kept.store(me, number(4), flags=UpdateFlags.EXIST)
    assert kept[me] == number(4)
    del kept[me]
    with pytest.raises(MissingKeyError, match=f"has no key {me}"):
        del kept[me]
    with pytest.raises(TypeMismatchError, match="'kept', value: 8 bytes takes exactly 8 bytes"):
        kept[me] = b"abc"
    kept.update({me: number(5), 1: number(6)})
    kept.update(np.array([me]), [number(7)])
    assert (kept[me], kept[1]) == (number(7), number(6))
    assert kept.delete([me, 1, os.getppid()]) == 2


def test_a_storage_cannot_be_listed(storage: Callable[[MapType], Any]) -> None:
    kept = storage(MapType.TASK_STORAGE)
    for attempt in (kept.read, kept.count, kept.items, kept.drain, kept.clear, lambda: [*kept]):
        with pytest.raises(UnsupportedError, match="the kernel does not list") as caught:
            attempt()
        assert "iter/task" in caught.value.hint


def test_inodes(storage: Callable[[MapType], Any], tmp_path: Path) -> None:
    kept = storage(MapType.INODE_STORAGE)
    assert isinstance(kept, InodeStorage)
    path, link = tmp_path / "file", tmp_path / "link"
    path.write_text("text")
    link.symlink_to(path)
    kept[path] = number(1)
    with path.open() as file:
        assert kept[file] == kept[file.fileno()] == kept[str(link)] == number(1)
    with pytest.raises(ClosedError, match="is closed"):
        _ = kept[file]
    assert kept.get(tmp_path) is None
    with pytest.raises(MissingKeyError):
        _ = kept[tmp_path]
    with pytest.raises(NotFoundError, match="there is no file") as caught:
        _ = kept[tmp_path / "nothing" / "there"]
    assert str(tmp_path) in caught.value.hint
    with pytest.raises(ClosedError, match="descriptor 999 is not open"):
        _ = kept[999]
    os.mkfifo(tmp_path / "fifo")
    kept[tmp_path / "fifo"] = number(2)  # nobody waits for its other end
    assert kept[tmp_path / "fifo"] == number(2)
    os.symlink("loop", tmp_path / "loop")
    with pytest.raises(KernelError, match=r"cannot be opened: .*ELOOP"):
        _ = kept[tmp_path / "loop"]


def test_sockets_that_a_program_marked(compile_bpf: CompileBpf) -> None:
    with (
        skep.ObjectSpec.from_file(compile_bpf(SOCKETS)).load() as live,
        cgroup("skep-sockets") as folder,
    ):
        sent: Any = live.maps["sent"]
        assert isinstance(sent, SocketStorage)
        program = live.programs["on_create"]
        group = os.open(folder, os.O_RDONLY)
        with open("/proc/self/cgroup") as lines:
            home = next(line.strip()[3:] for line in lines if line.startswith("0::"))
        root = folder.rpartition("/")[0]
        with bpf.link_create(program.fd, group, program.expected_attach_type):
            _enter(folder)
            try:
                one = socket.socket(type=socket.SOCK_DGRAM)
            finally:
                _enter(root + home)
        os.close(group)
        with one, socket.socket() as other:
            assert sent[one] == sent[one.fileno()] == 1000 + socket.IPPROTO_UDP
            assert other not in sent
            sent[other] = 5
            assert sent.pop(other) == 5
        with pytest.raises(ClosedError, match=r"'sent', key: .*closed"):
            _ = sent[one]


def _enter(folder: str) -> None:
    with open(f"{folder}/cgroup.procs", "w") as file:
        file.write(str(os.getpid()))


def test_cgroups(storage: Callable[[MapType], Any], tmp_path: Path) -> None:
    need("cgroup_storage")
    kept = storage(MapType.CGRP_STORAGE)
    assert isinstance(kept, CgroupStorage)
    with cgroup("skep-kept") as path:
        assert path not in kept
        kept[path] = number(1)
        group = os.open(path, os.O_RDONLY)
        assert kept[path] == kept[group] == number(1)
        os.close(group)
    with pytest.raises(NotFoundError, match="there is no cgroup"):
        _ = kept[path]
    with pytest.raises(TypeMismatchError, match="expected a cgroup, not"):
        _ = kept[tmp_path]
    with pytest.raises(TypeMismatchError, match="expected a cgroup, which is a folder"):
        _ = kept[__file__]


def test_what_is_filled_in_and_what_is_missing() -> None:
    def made(**options: Any) -> Any:
        return skep.MapSpec(name="kept", type=MapType.TASK_STORAGE, **options).create()

    with made(value_size=3) as live:
        info = live.info
        assert (info.key_size, info.flags, info.max_entries) == (4, MapFlags.NO_PREALLOC, 0)
        assert live.spec.flags == MapFlags.NO_PREALLOC
        assert info.btf_id
        live[1] = b"abc"
        with TaskStorage.from_id(live.id) as again:
            assert again[1] == b"abc"
    with made(value="u64") as live:
        live[1] = 5
        with TaskStorage.from_id(live.id) as again:  # the kernel knows the type, and the key's
            assert again[1] == 5
            assert again.info.btf_key_type_id
    for options, message in (
        ({}, "the value size must be 1 byte or more, not 0"),
        ({"value_size": 8, "key_size": 8}, "the key size must be 4 bytes, a descriptor, not 8"),
        ({"value_size": 8, "max_entries": 5}, "max_entries must be 0, not 5"),
        ({"value_size": 1 << 20}, "the value size must be .* 65536 at most"),
    ):
        with pytest.raises(LoadError, match=f"'kept' .* cannot be created: {message}"):
            made(**options)
