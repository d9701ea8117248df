"""One live map of every kind, small, and samples of the keys and values that each takes."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from skep.btf.btf import Btf
from skep.btf.writer import Builder
from skep.errors import SkepError
from skep.kernel.constants import MapFlags, MapType
from skep.maps.spec import MapSpec

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from skep.maps.map import Map

ENTRIES = 16


class Subject:
    """A live map, and what to store in it."""

    def __init__(self, name: str, live: Map, keys: list[Any], values: list[Any]) -> None:
        self.name = name
        self.live = live
        self.keys = keys
        self.values = values


class Types:
    """BTF with something of everything: ids by name."""

    def __init__(self) -> None:
        b = Builder()
        self.u32 = b.int("unsigned int", 4)
        self.s32 = b.int("int", 4, signed=True)
        self.u64 = b.int("unsigned long long", 8)
        u8 = b.int("unsigned char", 1)
        u16 = b.int("unsigned short", 2)
        char = b.int("char", 1, signed=True)
        truth = b.int("_Bool", 1, is_bool=True)
        wide = b.int("__int128", 16)
        real = b.float("double", 8)
        colour = b.enum("colour", [("RED", 0), ("GREEN", 1), ("BLUE", 7)])
        be32 = b.typedef("__be32", self.u32)
        at = b.struct("at", 8, [("x", self.s32, 0), ("y", u16, 32), ("z", u8, 48)])
        either = b.union(
            "", 8, [("whole", self.u64, 0), ("half", b.array(self.u32, 2, self.u32), 0)]
        )
        bits = [("low", self.s32, 256, 3), ("high", self.u32, 259, 13)]
        comm, digest = b.array(char, 16, self.u32), b.array(u8, 4, self.u32)
        self.record = b.struct(
            "record", 128,
            [
                ("pid", self.u32, 0), ("colour", colour, 32), ("comm", comm, 64),
                ("saddr", be32, 192), ("truth", truth, 224), *bits, ("digest", digest, 288),
                ("at", b.array(at, 2, self.u32), 320), ("", either, 448), ("real", real, 512),
                ("wide", wide, 640), ("grid", b.array(b.array(u16, 3, self.u32), 2, self.u32), 768),
                ("where", b.pointer(at), 896),
            ],
        )  # fmt: skip
        self.key = b.struct("key", 12, [("a", self.u32, 0), ("b", u8, 32), ("at", self.u32, 64)])
        self.lpm = b.struct(
            "lpm", 8, [("prefixlen", self.u32, 0), ("data", b.array(u8, 4, self.u32), 32)]
        )
        self.lpm_odd = b.struct(
            "odd", 7, [("prefixlen", self.u32, 0), ("data", b.array(u8, 3, self.u32), 32)]
        )
        self.btf = Btf.from_bytes(b.build(), name="fuzzed")


RECORD = {
    "pid": 7, "colour": "GREEN", "comm": "bash", "saddr": "127.0.0.1", "truth": True, "low": -2,
    "high": 4097, "digest": b"1234", "at": ({"x": -1, "y": 2, "z": 3}, (4, 5, 6)), "whole": 1 << 40,
    "real": 1.5, "wide": 1 << 100, "grid": ((1, 2, 3), (4, 5, 6)), "where": 0xFFFF,
}  # fmt: skip


class LiveMaps:
    """All of them, in a context manager. Kinds that this kernel lacks are in `missing`."""

    def __init__(self) -> None:
        self.subjects: list[Subject] = []
        self.missing: dict[str, str] = {}
        self._stack = ExitStack()
        self._types = Types()

    def __enter__(self) -> Self:
        try:
            self._fill()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _add(
        self, name: str, type: MapType, key: int, value: int, keys: list[Any], values: list[Any],
        *, entries: int = ENTRIES, flags: int = 0, sizes: tuple[int, int] | None = None,
        extra: int = 0, inner: MapSpec | None = None,
    ) -> None:  # fmt: skip
        btf = self._types.btf
        given = sizes or (
            btf.size_of(key) if key else 0,
            btf.size_of(value) if value else 0,
        )
        spec = MapSpec(
            name=name, type=type, key_size=given[0], value_size=given[1], max_entries=entries,
            flags=flags, extra=extra, inner=inner, btf=btf if key or value else None,
            key_type_id=key, value_type_id=value,
        )  # fmt: skip
        try:
            live = spec.create()
        except SkepError as error:
            self.missing[name] = str(error)
            return
        self._stack.enter_context(live)
        self.subjects.append(Subject(name, live, keys, values))

    def _fill(self) -> None:
        t = self._types
        prealloc = MapFlags.NO_PREALLOC
        numbers, rows = [0, 1, 2, 3, 99, 1 << 31], [RECORD, *_records(t)]
        keys = [{"a": 1, "b": 2, "at": 3}, (4, 5, 6)]
        self._add("hash", MapType.HASH, t.u32, t.u64, numbers, numbers)
        self._add("records", MapType.HASH, t.key, t.record, keys, rows)
        self._add("bytes", MapType.HASH, 0, 0, [b"abc"], [b"12345"], sizes=(3, 5))
        self._add("large", MapType.HASH, t.u32, 0, numbers, [bytes(30000)], sizes=(4, 30000))
        self._add("lru", MapType.LRU_HASH, t.u32, t.record, numbers, rows)
        self._add("frozen", MapType.HASH, t.u32, t.u64, numbers, numbers)
        self._add("write_only", MapType.HASH, t.u32, t.u64, numbers, numbers, flags=MapFlags.WRONLY)
        self._add("read_only", MapType.HASH, t.u32, t.u64, numbers, numbers, flags=MapFlags.RDONLY)
        cpus = [tuple(range(_cpus())), [1] * _cpus()]
        each = [tuple([RECORD] * _cpus())]
        self._add("percpu", MapType.PERCPU_HASH, t.u32, t.u64, numbers, cpus)
        self._add("percpu_lru", MapType.LRU_PERCPU_HASH, t.key, t.record, keys, each)
        self._add("percpu_array", MapType.PERCPU_ARRAY, t.u32, t.record, [0, 1, 15], each)
        self._add("array", MapType.ARRAY, t.u32, t.u64, [0, 1, 15, 16], numbers)
        self._add("mapped", MapType.ARRAY, t.u32, t.record, [0, 15], rows, flags=MapFlags.MMAPABLE)
        self._add("words", MapType.ARRAY, t.u32, t.u64, [0, 15], numbers, flags=MapFlags.MMAPABLE)
        self._add("queue", MapType.QUEUE, 0, t.record, [], rows)
        self._add("stack", MapType.STACK, 0, t.u64, [], numbers)
        self._add("bloom", MapType.BLOOM_FILTER, 0, t.record, [], rows, extra=3)
        networks = ["10.0.0.0/8", "10.0.0.1", (8, b"\x0a\0\0\0"), "0.0.0.0/0"]
        self._add("lpm", MapType.LPM_TRIE, t.lpm, t.u64, networks, numbers, flags=prealloc)
        odd = [(8, b"abc"), {"prefixlen": 3, "data": b"abc"}]
        self._add("lpm_odd", MapType.LPM_TRIE, t.lpm_odd, t.u64, odd, numbers, flags=prealloc)
        inner = MapSpec(name="inner", type=MapType.HASH, key_size=4, value_size=8, max_entries=4,
                        btf=t.btf, key_type_id=t.u32, value_type_id=t.u64)  # fmt: skip
        maps = [self._stack.enter_context(inner.create()) for _ in range(2)]
        self._add(
            "outer", MapType.ARRAY_OF_MAPS, t.u32, 0, [0, 1, 15], maps, sizes=(4, 4), inner=inner
        )
        self._add(
            "hash_outer", MapType.HASH_OF_MAPS, t.u32, 0, numbers, maps, sizes=(4, 4), inner=inner
        )
        things = [self._program(), self._event(), maps[0], 0]
        self._add("programs", MapType.PROG_ARRAY, 0, 0, [0, 1], things, sizes=(4, 4))
        self._add("perf", MapType.PERF_EVENT_ARRAY, 0, 0, [0, 1], things, sizes=(4, 4), entries=0)
        self._add("cgroups", MapType.CGROUP_ARRAY, 0, 0, [0, 1], _cgroups(), sizes=(4, 4))
        self._add("stacks", MapType.STACK_TRACE, 0, 0, [0, -14, 5], [], sizes=(4, 80))
        self._add("devmap", MapType.DEVMAP, 0, 0, [0, 1], ["lo", 1, (1, None)], sizes=(4, 8))
        self._add("devmap_hash", MapType.DEVMAP_HASH, t.u32, 0, numbers, ["lo", 1], sizes=(4, 4))
        self._add("cpumap", MapType.CPUMAP, 0, 0, [0, 1], [64, (64, None)], sizes=(4, 8), entries=2)
        sockets = self._sockets()
        self._add("xskmap", MapType.XSKMAP, 0, 0, [0, 1], sockets, sizes=(4, 4))
        self._add("sockmap", MapType.SOCKMAP, 0, 0, [0, 1], sockets, sizes=(4, 8))
        self._add("sockhash", MapType.SOCKHASH, t.u32, 0, numbers, sockets, sizes=(4, 8))
        self._add("reuseport", MapType.REUSEPORT_SOCKARRAY, 0, 0, [0, 1], sockets, sizes=(4, 8))
        me = [os.getpid(), 1, 0, -1]
        files: list[Any] = ["/", __file__, 0, self._stack.enter_context(open(__file__, "rb"))]  # noqa: SIM115
        local: dict[str, Any] = {"flags": prealloc, "entries": 0}
        self._add("task", MapType.TASK_STORAGE, t.s32, t.record, me, rows, **local)
        self._add("inode", MapType.INODE_STORAGE, t.s32, t.u64, files, numbers, **local)
        self._add("socket", MapType.SK_STORAGE, t.s32, t.u64, sockets, numbers, **local)
        self._add("cgroup", MapType.CGRP_STORAGE, t.s32, t.u64, _cgroups(), numbers, **local)
        pairs = [(1, "cgroup_inet_egress"), (1, 2)]
        self._add(
            "attached", MapType.CGROUP_STORAGE, 0, t.u64, pairs, numbers, sizes=(16, 8), entries=0
        )
        self._add("ring", MapType.RINGBUF, 0, t.record, [], rows, sizes=(0, 0), entries=4096)
        self._add(
            "user_ring", MapType.USER_RINGBUF, 0, t.record, [], rows, sizes=(0, 0), entries=4096
        )
        self._add(
            "arena", MapType.ARENA, 0, 0, [], [], sizes=(0, 0), entries=2, flags=MapFlags.MMAPABLE
        )
        for subject in self.subjects:
            if subject.name == "frozen":
                subject.live[1] = 2
                subject.live.freeze()

    def _program(self) -> Any:
        import skep
        from skep import asm

        code = [asm.mov(asm.R0, 0), asm.exit_()]
        spec = skep.ProgramSpec(name="nothing", type="socket_filter", instructions=code)
        return self._stack.enter_context(spec.load())

    def _event(self) -> Any:
        from skep.kernel.late_constants import PerfSoftware, PerfType
        from skep.kernel.perf import PerfEventAttr, perf_event_open

        attr = PerfEventAttr(type=PerfType.SOFTWARE, config=PerfSoftware.DUMMY, period=1)
        return self._stack.enter_context(perf_event_open(attr, pid=0, cpu=-1))

    def _sockets(self) -> list[Any]:
        left, right = socket.socketpair()
        bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(("127.0.0.1", 0))
        found = [left, right, bound]
        for each in found:
            self._stack.enter_context(each)
        return [*found, bound.fileno()]


def _records(types: Types) -> list[Any]:
    from skep.btf.codec import codec

    made = codec(types.btf, types.record)
    return [made.unpack(made.pack(RECORD)), made.unpack(bytes(made.size))]


def _cpus() -> int:
    from skep.kernel.cpus import possible_cpus

    return possible_cpus()


def _cgroups() -> list[Any]:
    from skep.kernel.mounts import mounts

    found = [mount.point for mount in mounts() if mount.kind == "cgroup2"]
    return [*found, "/", 0, "/no/such/cgroup"]
