"""Descriptors of kernel modules' BTF.

A program names a function or variable of a module by its id in the module's BTF and a
descriptor of that BTF. The kernel gives descriptors by id only, so the ids are gone through until
the module's name is met (Linux 5.11, "bpf: Expose bpf_get_btf_fd_by_id to modules' BTF").
"""

from __future__ import annotations

from skep.errors import KernelError, NotFoundError, PrivilegeError
from skep.kernel import bpf
from skep.kernel.bpf.info import btf_info

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.kernel.fd import FD


def module_btf_fd(module: str) -> FD:
    """Open the BTF of the loaded kernel module called *module*; the caller closes it.

    Raises `NotFoundError` when no loaded module of that name has BTF, `PrivilegeError` without
    CAP_SYS_ADMIN.
    """
    last = 0
    while True:
        found = bpf.next_id("btf", last)
        if found is None:
            break
        last = found
        try:
            fd = bpf.fd_by_id("btf", found)
        except PrivilegeError:
            raise
        except KernelError:
            continue  # unloaded since
        try:
            info = btf_info(fd)
            if info.is_kernel and info.name == module:
                return fd
        except BaseException:
            fd.close()
            raise
        fd.close()
    raise NotFoundError(
        f"the kernel has no BTF of a module {module!r}", name=module, where="kernel modules"
    )
