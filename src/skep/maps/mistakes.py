"""What else the kernel refuses in a map about to be created: flags, extras, inner maps, depths.

The rules about keys, values and entries are in `skep.maps.failure`. Imported only when a map was
refused. Which flags a type takes was tried out for each on Linux 6.18; the sources are the
`map_alloc_check` and `map_alloc` functions of kernel/bpf and net/core/sock_map.c.
"""

from __future__ import annotations

import errno

from skep.kernel.constants import MapFlags, MapType
from skep.kernel.syscall import page_size
from skep.maps.kinds import flag_names, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.maps.spec import MapSpec

    Mistake = tuple[str, Any, str, str]

_ACCESS = MapFlags.RDONLY | MapFlags.WRONLY
_PROGRAM_ACCESS = MapFlags.RDONLY_PROG | MapFlags.WRONLY_PROG
_NUMA = MapFlags.NUMA_NODE
_SEED = MapFlags.ZERO_SEED
_BOTH = _ACCESS | _PROGRAM_ACCESS

_FLAGS = {
    MapType.HASH: MapFlags.NO_PREALLOC | _NUMA | _SEED | _BOTH,
    MapType.LRU_HASH: MapFlags.NO_COMMON_LRU | _NUMA | _SEED | _BOTH,
    MapType.PERCPU_HASH: MapFlags.NO_PREALLOC | _SEED | _BOTH,
    MapType.LRU_PERCPU_HASH: MapFlags.NO_COMMON_LRU | _SEED | _BOTH,
    MapType.ARRAY: _NUMA | _BOTH | MapFlags.MMAPABLE | MapFlags.INNER_MAP,
    MapType.PERCPU_ARRAY: _BOTH,
    MapType.PROG_ARRAY: _NUMA | _ACCESS,
    MapType.PERF_EVENT_ARRAY: _NUMA | _ACCESS | MapFlags.PRESERVE_ELEMS,
    MapType.CGROUP_ARRAY: _NUMA | _ACCESS,
    MapType.ARRAY_OF_MAPS: _NUMA | _ACCESS,
    MapType.HASH_OF_MAPS: MapFlags.NO_PREALLOC | _NUMA | _SEED | _BOTH,
    MapType.RINGBUF: _NUMA,
    MapType.USER_RINGBUF: _NUMA,
    MapType.QUEUE: _NUMA | _BOTH,
    MapType.STACK: _NUMA | _BOTH,
    MapType.BLOOM_FILTER: _NUMA | _SEED | _BOTH,
    MapType.LPM_TRIE: MapFlags.NO_PREALLOC | _NUMA | _BOTH,
    MapType.STACK_TRACE: _NUMA | _ACCESS | MapFlags.STACK_BUILD_ID,
    MapType.ARENA: MapFlags.MMAPABLE | MapFlags.SEGV_ON_FAULT | MapFlags.NO_USER_CONV,
    MapType.DEVMAP: _NUMA | _ACCESS,
    MapType.DEVMAP_HASH: _NUMA | _ACCESS,
    MapType.CPUMAP: _NUMA,
    MapType.XSKMAP: _NUMA | _ACCESS,
    MapType.SOCKMAP: _NUMA | _ACCESS,
    MapType.SOCKHASH: _NUMA | _ACCESS,
    MapType.REUSEPORT_SOCKARRAY: _NUMA | _BOTH,
}
_OUTER = (MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS)
_ENOTSUPP = 524
_MOST_PAGES = 1 << 20  # an arena ends at 4 GiB
_FRAME = 32  # bytes of struct bpf_stack_build_id


def mistake(spec: MapSpec, code: int) -> Mistake | None:
    """Return (what, given, expected, hint) for what the kernel refused with errno *code*."""
    found = _wrong_inner(spec) if code in (errno.EINVAL, _ENOTSUPP) else None
    if found is not None:
        return found
    if code == errno.E2BIG and spec.type == MapType.ARENA and spec.max_entries > _MOST_PAGES:
        expected = f"{_MOST_PAGES} pages or fewer, 4 GiB"
        return "max_entries, its pages,", spec.max_entries, expected, "lower max_entries"
    if code != errno.EINVAL:
        return None
    if spec.type == MapType.STRUCT_OPS:
        expected = "a struct of operations of this kernel, with programs in it"
        hint = 'declare it in SEC(".struct_ops.link") of an object, whose load() makes the map'
        return "the value", f"{spec.value_size} bytes", expected, hint
    return _wrong_extra(spec) or _wrong_arena(spec) or _wrong_depth(spec) or _wrong_flags(spec)


def _wrong_inner(spec: MapSpec) -> Mistake | None:
    if spec.type not in _OUTER or spec.inner is None:
        return None
    if spec.inner.type in (*_OUTER, MapType.PROG_ARRAY):
        given = type_name(spec.inner.type)
        expected = "neither a map of maps nor a prog_array"
        return "the type of inner", given, expected, "maps can be nested once"
    return None


def _wrong_extra(spec: MapSpec) -> Mistake | None:
    if spec.type == MapType.BLOOM_FILTER and spec.extra & ~0xF:
        return "map_extra", spec.extra, "0 to 15, the number of hashes", "0 stands for 5"
    if spec.type == MapType.ARENA:
        if spec.extra % page_size:
            expected = f"an address divisible by {page_size} (a page), or 0"
            hint = "leave map_extra out, and the kernel finds a place"
            return "map_extra", hex(spec.extra), expected, hint
        return None
    if spec.extra and spec.type != MapType.BLOOM_FILTER:
        hint = "only bloom filters and arenas have one"
        return "map_extra", spec.extra, "0", hint
    return None


def _wrong_arena(spec: MapSpec) -> Mistake | None:
    if spec.type != MapType.ARENA:
        return None
    if not spec.flags & MapFlags.MMAPABLE:
        expected = "MMAPABLE, perhaps with others"
        return "the flags", flag_names(int(spec.flags)), expected, "set map_flags to BPF_F_MMAPABLE"
    if not spec.max_entries:
        return "max_entries, its pages,", 0, "1 or more", "set max_entries"
    return None


def _wrong_depth(spec: MapSpec) -> Mistake | None:
    if spec.type != MapType.STACK_TRACE:
        return None
    frame = _FRAME if spec.flags & MapFlags.STACK_BUILD_ID else 8
    if spec.value_size % frame:
        hint = "declare the value as an array of struct bpf_stack_build_id"
        return "the value size", spec.value_size, f"a multiple of {frame} bytes", hint
    most = _most_frames()
    if spec.value_size // frame > most:
        expected = f"{most * frame} bytes or fewer, {most} frames"
        hint = "the sysctl kernel.perf_event_max_stack is the limit"
        return "the value size", spec.value_size, expected, hint
    return None


def _most_frames() -> int:
    try:
        with open("/proc/sys/kernel/perf_event_max_stack", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 127  # PERF_MAX_STACK_DEPTH


def _wrong_flags(spec: MapSpec) -> Mistake | None:
    flags = int(spec.flags)
    known = _FLAGS.get(MapType(spec.type)) if spec.type in _FLAGS else None
    if known is None or flags & ~int(sum(MapFlags)):
        return None
    for pair in (_ACCESS, _PROGRAM_ACCESS):
        if flags & pair == int(pair):
            return (
                "the flags",
                flag_names(flags),
                f"not both of {flag_names(int(pair))}",
                "leave one out",
            )
    wrong = flags & ~int(known)
    if not wrong:
        return None
    hint = f"this type of map does not take {flag_names(wrong)}"
    return "the flags", flag_names(flags), f"none, or some of {flag_names(int(known))}", hint
