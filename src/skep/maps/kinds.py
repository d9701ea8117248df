"""What each map type can do: which are indexed, per-CPU, keyless, or hold descriptors.

Source: the map type switch in kernel/bpf/syscall.c and the ``map_ops`` tables of
kernel/bpf/{hashtab,arraymap,ringbuf,stackmap,cpumap,devmap}.c, Linux 6.18.
"""

from __future__ import annotations

from skep.kernel.constants import MapType, name_of

PER_CPU = frozenset(
    {
        MapType.PERCPU_HASH,
        MapType.PERCPU_ARRAY,
        MapType.LRU_PERCPU_HASH,
        MapType.PERCPU_CGROUP_STORAGE,
    }
)
"""One value for each possible CPU, each rounded up to 8 bytes (kernel: ``bpf_map_value_size``)."""

ARRAYS = frozenset({MapType.ARRAY, MapType.PERCPU_ARRAY})
"""Every index below `max_entries` exists from the start and cannot be deleted."""

INDEXED = ARRAYS | {
    MapType.PROG_ARRAY,
    MapType.PERF_EVENT_ARRAY,
    MapType.CGROUP_ARRAY,
    MapType.ARRAY_OF_MAPS,
    MapType.DEVMAP,
    MapType.SOCKMAP,
    MapType.CPUMAP,
    MapType.XSKMAP,
    MapType.REUSEPORT_SOCKARRAY,
}
"""Keys are u32 indices even when there is no BTF to say so."""

HASHES = frozenset(
    {
        MapType.HASH,
        MapType.PERCPU_HASH,
        MapType.LRU_HASH,
        MapType.LRU_PERCPU_HASH,
    }
)

KEYLESS = frozenset(
    {
        MapType.QUEUE,
        MapType.STACK,
        MapType.BLOOM_FILTER,
        MapType.RINGBUF,
        MapType.USER_RINGBUF,
        MapType.ARENA,
    }
)
"""No keys to look up; item access is refused with a sentence."""

RINGS = frozenset({MapType.RINGBUF, MapType.USER_RINGBUF, MapType.ARENA})
"""Maps whose key and value sizes must be 0: a declared value type only names the record."""

DESCRIPTORS = frozenset(
    {
        MapType.PROG_ARRAY,
        MapType.PERF_EVENT_ARRAY,
        MapType.CGROUP_ARRAY,
        MapType.ARRAY_OF_MAPS,
        MapType.HASH_OF_MAPS,
    }
)
"""Written as a file descriptor, read as an id (or not at all)."""

PER_CPU_ENTRIES = frozenset({MapType.PERF_EVENT_ARRAY, MapType.CPUMAP})
"""`max_entries` 0 means one entry for each possible CPU."""

NO_TYPES = frozenset(
    {
        MapType.PERF_EVENT_ARRAY,
        MapType.CGROUP_ARRAY,
        MapType.STACK_TRACE,
        MapType.ARRAY_OF_MAPS,
        MapType.HASH_OF_MAPS,
        MapType.DEVMAP,
        MapType.DEVMAP_HASH,
        MapType.CPUMAP,
        MapType.XSKMAP,
        MapType.SOCKMAP,
        MapType.SOCKHASH,
        MapType.RINGBUF,
        MapType.USER_RINGBUF,
    }
)
"""The kernel refuses key and value BTF on these (no ``map_check_btf`` that would accept it)."""


def entries(count: int) -> str:
    """Return "1 entry", "2 entries"."""
    return "1 entry" if count == 1 else f"{count} entries"


def type_name(number: int) -> str:
    """Return the UAPI name of a map type in lower case, or its number when it is unknown."""
    return name_of(MapType, number)
