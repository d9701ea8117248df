"""bpf(2): one function per command, keyword arguments, `FD` out, `KernelError` on failure.

The functions know the layout of `union bpf_attr` and nothing about specs, types or Python
values: keys, values and programs are bytes. All are thread safe; all but map lookups release
the GIL. The layouts are those of Linux 6.18; a field that an older kernel does not know yet is
accepted by it as long as it is zero, so leaving an argument at its default is always safe.

Buffers are handed to the kernel as they are: **the kernel, not Python, decides how many bytes it
reads and writes** (key size, value size rounded up to 8 times the possible CPUs for per-CPU
maps, times `count` for batches). The caller sizes them from the map's own info; a short buffer
is memory corruption, not an exception.
"""

from __future__ import annotations

from skep.kernel.bpf.ids import (
    Kind,
    btf_load,
    enable_stats,
    fd_by_id,
    next_id,
    obj_get,
    obj_info,
    obj_pin,
    token_create,
)
from skep.kernel.bpf.maps import (
    map_create,
    map_delete,
    map_delete_batch,
    map_freeze,
    map_get,
    map_lookup,
    map_lookup_and_delete,
    map_lookup_batch,
    map_next_key,
    map_update,
    map_update_batch,
)
from skep.kernel.bpf.programs import (
    TestRun,
    prog_attach,
    prog_bind_map,
    prog_detach,
    prog_load,
    prog_test_run,
)
from skep.kernel.native import address_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.kernel.bpf.info import BtfInfo, LinkInfo, MapInfo, ProgramInfo
    from skep.kernel.bpf.links import (
        iter_create,
        link_create,
        link_create_kprobe_multi,
        link_create_perf_event,
        link_create_tracing,
        link_create_uprobe_multi,
        link_detach,
        link_update,
        raw_tracepoint_open,
    )
    from skep.kernel.fd import FD

__all__ = [
    "Kind",
    "TestRun",
    "address_of",
    "btf_info",
    "btf_load",
    "enable_stats",
    "fd_by_id",
    "iter_create",
    "link_create",
    "link_create_kprobe_multi",
    "link_create_perf_event",
    "link_create_tracing",
    "link_create_uprobe_multi",
    "link_detach",
    "link_info",
    "link_update",
    "map_create",
    "map_delete",
    "map_delete_batch",
    "map_freeze",
    "map_get",
    "map_info",
    "map_lookup",
    "map_lookup_and_delete",
    "map_lookup_batch",
    "map_next_key",
    "map_update",
    "map_update_batch",
    "next_id",
    "obj_get",
    "obj_info",
    "obj_pin",
    "prog_attach",
    "prog_bind_map",
    "prog_detach",
    "prog_info",
    "prog_load",
    "prog_test_run",
    "raw_tracepoint_open",
    "token_create",
]


# Not needed to load, so imported on first use.
def __getattr__(name: str) -> object:
    """Find the functions of `links` (PEP 562)."""
    if name not in __all__:  # first, so that a wrong name imports nothing
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from skep.kernel.bpf import links

    found = globals()[name] = getattr(links, name)
    return found


def prog_info(fd: FD) -> ProgramInfo:
    """BPF_OBJ_GET_INFO_BY_FD of a program; see `info.prog_info`."""
    from skep.kernel.bpf import info

    return info.prog_info(fd)


def map_info(fd: FD) -> MapInfo:
    """BPF_OBJ_GET_INFO_BY_FD of a map; see `info.map_info`."""
    from skep.kernel.bpf import info

    return info.map_info(fd)


def link_info(fd: FD) -> LinkInfo:
    """BPF_OBJ_GET_INFO_BY_FD of a link; see `info.link_info`."""
    from skep.kernel.bpf import info

    return info.link_info(fd)


def btf_info(fd: FD) -> BtfInfo:
    """BPF_OBJ_GET_INFO_BY_FD of a BTF blob; see `info.btf_info`."""
    from skep.kernel.bpf import info

    return info.btf_info(fd)
