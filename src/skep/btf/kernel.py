"""The running kernel's BTF.

Source: `/sys/kernel/btf/vmlinux` (CONFIG_DEBUG_INFO_BTF=y), world-readable. Kernels without it are
served by files: `skep.btf.target` has the search and the environment variable `SKEP_BTF`.
"""

from __future__ import annotations

import os
import sys

from skep.btf.btf import Btf
from skep.btf.search import Memory
from skep.errors import KernelError, RangeError
from skep.kernel.fd import FD
from skep.kernel.memory import Mapping
from skep.kernel.native import addressof, create_string_buffer
from skep.kernel.syscall import numbers, syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.btf.index import Index

_SYSFS_MAGIC = 0x62656572  # linux/magic.h

VMLINUX = "/sys/kernel/btf/vmlinux"

_kernel: Btf | None = None
_sysfs: Btf | None = None
_index: Index | None = None


def kernel_btf() -> Btf:
    """Return the running kernel's types, opened once per process.

    Opening takes 0.3 ms where the kernel lets it be mapped (Linux 6.16; 4 ms before), a name lookup
    0.1 to 13 ms (6 MB, 127 000 types), without NumPy; less once it is in the `index`.
    The environment variable `SKEP_BTF` chooses another file, as for `find_target`. Raises
    `NoBtfError` when there is none, `BtfError` when `SKEP_BTF` names a file that is not BTF.
    Thread-safe: at worst two threads both open it and one result is kept.
    """
    global _kernel  # noqa: PLW0603  a cache
    if _kernel is None:
        from skep.btf.target import find_target

        _kernel = find_target().require()
    return _kernel


def own_btf() -> Btf:
    """Return the running kernel's whole BTF, whatever `SKEP_BTF` says.

    What a program attaches to is told to the kernel as an id in its own BTF, so that no other
    kernel's and no minimised file will do. Raises `NoBtfError`.
    """
    from skep.btf.target import find_target

    return find_target("auto").require()


def sysfs_btf() -> Btf:
    """Return the BTF in sysfs, opened once; raises `OSError`, or `BtfError` when it is broken."""
    global _sysfs, _index  # noqa: PLW0603  caches
    if _sysfs is None:
        with FD(os.open(VMLINUX, os.O_RDONLY | os.O_CLOEXEC), VMLINUX) as file:
            mapped = _map(file)
            found = _read(file) if mapped is None else mapped
            if on_sysfs(file):
                from skep.btf.index import attach

                _index = attach(found, file)
            _sysfs = found
    return _sysfs


def remember() -> None:
    """Keep for other processes what this one has looked up in the kernel's BTF; see `index`."""
    if _index is not None:
        _index.save()


def _map(file: FD) -> Btf | None:
    """Return the BTF as the kernel's own memory, mapped; None when it cannot be had so.

    The file can be mapped since Linux 6.16 ("btf: Allow mmap of vmlinux btf"), privately. Nothing
    is copied then, which would cost 3 ms, most of it for the pages to copy to. A file that was
    mounted over it is not mapped: it may be cut while it is looked at.
    """
    if not on_sysfs(file):
        return None
    try:
        size = os.fstat(file.fileno()).st_size
        with Mapping(file, size, private=True) as mapping:
            memory = Memory(mapping.view, mapping.address)
            return Btf.from_memory(memory, name="vmlinux", trusted=True)
    except (KernelError, RangeError):  # of Mapping: too old a kernel, an empty file
        return None


def _read(file: FD) -> Btf:
    with open(file.fileno(), "rb", closefd=False) as stream:
        return Btf.from_bytes(stream.read(), name="vmlinux", trusted=True)


def on_sysfs(file: FD) -> bool:
    """Whether *file* is on sysfs: what it says is what the running kernel says."""
    if not numbers:
        return False
    found = create_string_buffer(b"", 256)  # struct statfs has 120 bytes and begins with f_type
    if syscall("fstatfs", file.fileno(), addressof(found)):
        return False
    return int.from_bytes(found.raw[:8], sys.byteorder) == _SYSFS_MAGIC
