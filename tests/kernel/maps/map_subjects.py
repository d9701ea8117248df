"""One map of every type, with something in it: what the table of operations is made of."""

from __future__ import annotations

import os
import socket
import subprocess
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any

import compiling

import skep
from skep.kernel import bpf
from skep.kernel.constants import AttachType, MapFlags, MapType, PerfSoftware, PerfType
from skep.kernel.fd import FD
from skep.kernel.perf import PerfEventAttr, perf_event_open
from skep.kernel.syscall import page_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AF_XDP = 44
ONE = (1).to_bytes(8, "little")
TWO = (2).to_bytes(8, "little")
KEY = (7).to_bytes(4, "little")
OTHER = (8).to_bytes(4, "little")
PASS = [skep.asm.mov(skep.asm.R0, 2), skep.asm.exit_()]

SOURCE = r"""// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <skep/bpf.h>

char LICENSE[] SEC("license") = "GPL";

"""
STACKS = (
    SOURCE
    + r"""
struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 64);
	__uint(key_size, 4);
	__uint(value_size, 8 * 16);
} m SEC(".maps");

__u32 pid;
long last = -1;

SEC("raw_tp/sys_enter")
int on_enter(void *ctx)
{
	if (bpf_get_current_pid_tgid() >> 32 == pid)
		last = bpf_get_stackid(ctx, &m, BPF_F_USER_STACK | BPF_F_REUSE_STACKID);
	return 0;
}
"""
)
ATTACHED = (
    SOURCE
    + r"""
struct bpf_cgroup_storage_key { __u64 cgroup_inode_id; __u32 attach_type; };
struct {
	__uint(type, BPF_MAP_TYPE_NAME);
	__type(key, struct bpf_cgroup_storage_key);
	__type(value, __u64);
} m SEC(".maps");

SEC("cgroup_skb/egress")
int count(void *skb)
{
	__u64 *value = bpf_get_local_storage(&m, 0);

	__sync_fetch_and_add(value, 1);
	return 1;
}
"""
)
CONGESTION = r"""
#include <skep/bpf.h>
struct sock;
struct tcp_congestion_ops {
	char name[16];
	__u32 (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
	__u32 (*undo_cwnd)(struct sock *sk);
};
char LICENSE[] SEC("license") = "GPL";
SEC("struct_ops") __u32 BPF_PROG(on_ssthresh, struct sock *sk) { return 2; }
SEC("struct_ops") __u32 BPF_PROG(on_undo, struct sock *sk) { return 2; }
SEC("struct_ops") void BPF_PROG(on_avoid, struct sock *sk, __u32 ack, __u32 acked) { }
SEC(".struct_ops")
struct tcp_congestion_ops m = {
	.ssthresh = (void *) on_ssthresh,
	.cong_avoid = (void *) on_avoid,
	.undo_cwnd = (void *) on_undo,
	.name = "skep_table",
};
"""


@dataclass
class Case:
    """A map that holds *value* under *key*, and nothing under *other* unless it is an array.

    *changed* can be stored too. *reads* is what is read of *value*, `...` when that is not told
    here. *keys* are all keys when they are not only *key*.
    """

    map: Any
    key: Any = None
    value: Any = None
    other: Any = None
    changed: Any = None
    reads: Any = ...
    keys: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.changed = self.value if self.changed is None else self.changed
        self.keys = self.keys or [self.key]


def cgroup_root() -> str:
    """Return where the machine has version 2 cgroups."""
    with open("/proc/self/mounts") as lines:
        return next(line.split()[1] for line in lines if line.split()[2] == "cgroup2")


@contextmanager
def cgroup(name: str = "skep-table") -> Iterator[str]:
    """Make a cgroup for a while."""
    path = f"{cgroup_root()}/{name}-{os.getpid()}"
    os.mkdir(path)
    try:
        yield path
    finally:
        os.rmdir(path)


def created(type: MapType, **sizes: Any) -> Any:
    return skep.MapSpec(name="m", type=type, **sizes).create()


def program(type: str = "xdp", **options: Any) -> Any:
    return skep.ProgramSpec(name="passes", type=type, instructions=PASS, **options).load()


@contextmanager
def hash_map(type: MapType) -> Iterator[Case]:
    flags = MapFlags.NO_PREALLOC if type == MapType.LPM_TRIE else 0
    with created(type, key_size=4, value_size=8, max_entries=64, flags=flags) as live:
        live[KEY] = ONE
        yield Case(live, KEY, ONE, OTHER, TWO, reads=ONE)


@contextmanager
def per_cpu_hash(type: MapType) -> Iterator[Case]:
    with created(type, key_size=4, value_size=8, max_entries=64) as live:
        cpus = live.cells.cpus
        live[KEY] = (ONE,) * cpus
        yield Case(live, KEY, (ONE,) * cpus, OTHER, (TWO,) * cpus, reads=(ONE,) * cpus)


@contextmanager
def array(type: MapType) -> Iterator[Case]:
    flags = MapFlags.MMAPABLE if type == MapType.ARRAY else 0
    with created(type, key_size=4, value_size=8, max_entries=4, flags=flags) as live:
        cpus = live.cells.cpus
        one, two = ((ONE,) * cpus, (TWO,) * cpus) if cpus else (ONE, TWO)
        live[1] = one
        yield Case(live, 1, one, 2, two, reads=one, keys=[0, 1, 2, 3])


@contextmanager
def trie(type: MapType) -> Iterator[Case]:
    sizes = {"key_size": 8, "value_size": 8, "max_entries": 64, "flags": MapFlags.NO_PREALLOC}
    with created(type, **sizes) as live:
        key, other = IPv4Network("10.0.0.0/8"), IPv4Network("192.168.0.0/16")
        live[key] = ONE
        yield Case(live, key, ONE, other, TWO, reads=ONE)


@contextmanager
def queue(type: MapType) -> Iterator[Case]:
    with created(type, value_size=8, max_entries=4) as live:
        live.push(ONE)
        yield Case(live, KEY, ONE, OTHER, TWO, reads=ONE)


@contextmanager
def bloom(type: MapType) -> Iterator[Case]:
    with created(type, value_size=8, max_entries=4) as live:
        live.add(ONE)
        yield Case(live, KEY, ONE, OTHER, TWO)


@contextmanager
def ring(type: MapType) -> Iterator[Case]:
    with created(type, max_entries=page_size) as live:
        yield Case(live, KEY, ONE, OTHER, TWO)


@contextmanager
def arena(type: MapType) -> Iterator[Case]:
    with created(type, max_entries=1, flags=MapFlags.MMAPABLE) as live:
        yield Case(live, KEY, ONE, OTHER, TWO)


@contextmanager
def programs(type: MapType) -> Iterator[Case]:
    with created(type, key_size=4, value_size=4, max_entries=4) as live, program() as one:
        live[1] = one
        yield Case(live, 1, one, 2, reads=one.info.id)


@contextmanager
def events(type: MapType) -> Iterator[Case]:
    attributes = PerfEventAttr(type=PerfType.SOFTWARE, config=PerfSoftware.BPF_OUTPUT)
    with (
        created(type, key_size=4, value_size=4, max_entries=4) as live,
        perf_event_open(attributes, pid=-1, cpu=0) as event,
    ):
        live[1] = event
        yield Case(live, 1, event, 2)


@contextmanager
def cgroups(type: MapType) -> Iterator[Case]:
    with created(type, key_size=4, value_size=4, max_entries=4) as live, cgroup() as path:
        live[1] = path
        yield Case(live, 1, path, 2)


@contextmanager
def nested(type: MapType) -> Iterator[Case]:
    inner = skep.MapSpec(name="inner", type=MapType.ARRAY, key_size=4, value_size=8, max_entries=4)
    keyed = type == MapType.HASH_OF_MAPS
    with (
        created(type, key_size=4, value_size=4, max_entries=4, inner=inner) as live,
        inner.create() as one,
        inner.create() as two,
    ):
        key, other = (KEY, OTHER) if keyed else (1, 2)
        live[key] = one
        yield Case(live, key, one, other, two)


@contextmanager
def stacks(_: MapType) -> Iterator[Case]:
    spec = skep.ObjectSpec.from_file(compiling.bpf(STACKS))
    with spec.load() as loaded:
        with loaded.attach():
            loaded.variables["pid"] = os.getpid()  # no system call, as it is memory
            os.getppid()
            loaded.variables["pid"] = 0
        key = loaded.variables["last"].value
        yield Case(loaded.maps["m"], key, (1, 2), 63 if key != 63 else 62)


@contextmanager
def operations(_: MapType) -> Iterator[Case]:
    spec = skep.ObjectSpec.from_file(compiling.bpf(CONGESTION))
    with spec.load() as loaded, loaded.attach():
        live = loaded.maps["m"]
        yield Case(live, 0, live[0], 0)


@contextmanager
def devices(type: MapType) -> Iterator[Case]:
    with created(type, max_entries=4) as live:
        live[1] = "lo"
        reads = socket.if_nametoindex("lo"), 0
        yield Case(live, 1, "lo", 2, reads=reads)


@contextmanager
def cpus(type: MapType) -> Iterator[Case]:
    with created(type, max_entries=4) as live:
        live[0] = 64
        yield Case(live, 0, 64, 1 if (os.cpu_count() or 1) > 1 else 0, 128, reads=(64, 0))


@contextmanager
def xdp_sockets(type: MapType) -> Iterator[Case]:
    with created(type, max_entries=4) as live, socket.socket(AF_XDP, socket.SOCK_RAW) as one:
        live[1] = one
        yield Case(live, 1, one, 2)


@contextmanager
def sockets(type: MapType) -> Iterator[Case]:
    from skep.maps.types.sockets import cookie

    sizes = {"key_size": 4} if type == MapType.SOCKHASH else {}
    key, other = (KEY, OTHER) if sizes else (1, 2)
    with created(type, max_entries=4, **sizes) as live, ExitStack() as stack:
        one, two = (stack.enter_context(one) for one in socket.socketpair())
        live[key] = one
        yield Case(live, key, one, other, two, reads=cookie(one))


@contextmanager
def reuseport(type: MapType) -> Iterator[Case]:
    from skep.maps.types.sockets import cookie

    with created(type, max_entries=4) as live, ExitStack() as stack:
        pair = []
        for _ in range(2):
            one = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            one.bind(("127.0.0.1", 0))
            pair.append(one)
        live[1] = pair[0]
        yield Case(live, 1, pair[0], 2, pair[1], reads=cookie(pair[0]))


@contextmanager
def tasks(type: MapType) -> Iterator[Case]:
    with created(type, value_size=8) as live:
        child = subprocess.Popen(["sleep", "60"])
        try:
            live[os.getpid()] = ONE
            yield Case(live, os.getpid(), ONE, child.pid, TWO, reads=ONE)
        finally:
            child.kill()
            child.wait()


@contextmanager
def inodes(type: MapType) -> Iterator[Case]:
    with created(type, value_size=8) as live:
        live[__file__] = ONE
        yield Case(live, __file__, ONE, os.path.dirname(__file__), TWO, reads=ONE)


@contextmanager
def socket_storage(type: MapType) -> Iterator[Case]:
    with created(type, value_size=8) as live, socket.socket() as one, socket.socket() as two:
        live[one] = ONE
        yield Case(live, one, ONE, two, TWO, reads=ONE)


@contextmanager
def cgroup_storage(type: MapType) -> Iterator[Case]:
    with created(type, value_size=8) as live, cgroup() as one, cgroup("skep-other") as two:
        live[one] = ONE
        yield Case(live, one, ONE, two, TWO, reads=ONE)


@contextmanager
def attached_storage(type: MapType) -> Iterator[Case]:
    source = ATTACHED.replace("TYPE_NAME", f"TYPE_{type.name}")
    with (
        cgroup() as path,
        skep.ObjectSpec.from_file(compiling.bpf(source)).load() as loaded,
        FD(os.open(path, os.O_RDONLY), "a cgroup") as folder,
    ):
        count = loaded.programs["count"]
        bpf.prog_attach(count.fd, folder, AttachType.CGROUP_INET_EGRESS)
        live = loaded.maps["m"]
        key = path, AttachType.CGROUP_INET_EGRESS
        cpus = live.cells.cpus
        one, two = ((1,) * cpus, (2,) * cpus) if cpus else (1, 2)
        live[key] = one
        other = path, AttachType.CGROUP_INET_INGRESS
        keys = [(os.stat(path).st_ino, AttachType.CGROUP_INET_EGRESS)]
        yield Case(live, key, one, other, two, reads=one, keys=keys)
        bpf.prog_detach(count.fd, folder, AttachType.CGROUP_INET_EGRESS)


SUBJECTS: dict[MapType, Callable[[MapType], Any]] = {
    MapType.HASH: hash_map,
    MapType.LRU_HASH: hash_map,
    MapType.PERCPU_HASH: per_cpu_hash,
    MapType.LRU_PERCPU_HASH: per_cpu_hash,
    MapType.ARRAY: array,
    MapType.PERCPU_ARRAY: array,
    MapType.LPM_TRIE: trie,
    MapType.QUEUE: queue,
    MapType.STACK: queue,
    MapType.BLOOM_FILTER: bloom,
    MapType.RINGBUF: ring,
    MapType.USER_RINGBUF: ring,
    MapType.ARENA: arena,
    MapType.PROG_ARRAY: programs,
    MapType.PERF_EVENT_ARRAY: events,
    MapType.CGROUP_ARRAY: cgroups,
    MapType.ARRAY_OF_MAPS: nested,
    MapType.HASH_OF_MAPS: nested,
    MapType.STACK_TRACE: stacks,
    MapType.STRUCT_OPS: operations,
    MapType.DEVMAP: devices,
    MapType.DEVMAP_HASH: devices,
    MapType.CPUMAP: cpus,
    MapType.XSKMAP: xdp_sockets,
    MapType.SOCKMAP: sockets,
    MapType.SOCKHASH: sockets,
    MapType.REUSEPORT_SOCKARRAY: reuseport,
    MapType.TASK_STORAGE: tasks,
    MapType.INODE_STORAGE: inodes,
    MapType.SK_STORAGE: socket_storage,
    MapType.CGRP_STORAGE: cgroup_storage,
    MapType.CGROUP_STORAGE: attached_storage,
    MapType.PERCPU_CGROUP_STORAGE: attached_storage,
}
