"""The kernel modules a guest starts with, from an unpacked kernel package."""

from __future__ import annotations

import glob
import lzma
import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skep.vm.kernels import Kernel

# What the guest's early boot loads, and what tests of networking may ask for. What these depend
# on is added.
WANTED = (
    *("virtio_pci", "virtio_blk", "ext4", "crc32c_generic", "crc32c-intel"),
    *("veth", "sch_ingress", "cls_bpf", "nf_tables", "nf_conntrack", "tun"),
)


def module_files(kernel: Kernel, wanted: tuple[str, ...] = WANTED) -> dict[str, bytes]:
    """Return the *wanted* modules and what they depend on, decompressed, by name in load order.

    A name that is built in, or no part of this kernel, is left out.
    """
    found: dict[str, str] = {}
    pattern = os.path.join(glob.escape(kernel.modules), "kernel", "**", "*.ko*")
    for path in glob.glob(pattern, recursive=True):
        found[os.path.basename(path).partition(".ko")[0].replace("-", "_")] = path
    loaded: dict[str, bytes] = {}

    def add(name: str) -> None:
        name = name.replace("-", "_")
        if name in loaded or name not in found:
            return
        with open(found[name], "rb") as file:
            data = file.read()
        if found[name].endswith(".xz"):
            data = lzma.decompress(data)
        for dependency in dependencies(data):
            add(dependency)
        loaded[name] = data

    for name in wanted:
        add(name)
    return loaded


def dependencies(module: bytes) -> list[str]:
    """List the modules that must be loaded before *module*, the bytes of a .ko file.

    The .modinfo section holds NUL-separated "key=value" strings; depends= names what comes first
    (include/linux/module.h, MODULE_INFO), softdep= names what is asked for by name.
    """
    names: list[str] = []
    for key in (b"depends=", b"softdep=pre: "):
        match = re.search(rb"(?:^|\0)" + key + rb"([^\0]*)\0", module)
        if match:
            names += match[1].decode(errors="replace").replace(",", " ").split()
    return names
