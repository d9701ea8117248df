"""Debian's cloud kernels, downloaded as packages, unpacked and never installed.

A series such as ``"6.1"`` is resolved to its newest release in the package index, because
superseded kernel packages disappear from the archive. What was fetched is kept in the cache.
"""

from __future__ import annotations

import glob
import lzma
import os
import re
import shutil
import subprocess
import tempfile

from skep.errors import NotFoundError, UnsupportedError

# What the guest's early boot loads, and what tests of networking may ask for. Dependencies are
# added from modules.dep.
MODULES = (
    *("virtio_pci", "virtio_blk", "ext4", "crc32c_generic", "crc32c-intel"),
    *("veth", "sch_ingress", "cls_bpf", "nf_tables", "tun"),
)


class Kernel:
    """A kernel that can be booted: its release, its image and its module folder."""

    def __init__(self, release: str, image: str, modules: str) -> None:
        self.release = release
        self.image = image
        self.modules = modules


def _version(package: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", package)))


def newest_package(series: str) -> str:
    """Return the name of the newest cloud kernel package of *series* in the package index."""
    pattern = rf"^linux-image-{re.escape(series)}[.0-9]*[-+.0-9a-z]*-cloud-amd64$"
    if shutil.which("apt-cache") is None:
        message = "guest kernels are Debian packages, and this machine has no apt"
        raise UnsupportedError(message, feature="vm")
    listed = subprocess.run(
        ["apt-cache", "search", "--names-only", pattern], capture_output=True, text=True, check=True
    ).stdout
    # A release has its package revision in the name; the meta package of a series has none.
    release = re.compile(rf"linux-image-{re.escape(series)}(\.\d+\+|\.\d+-\d)")
    packages = [line.split()[0] for line in listed.splitlines() if release.match(line)]
    if not packages:
        message = f"the package index has no cloud kernel of the series {series}"
        raise NotFoundError(message, name=series, where="apt", hint="apt-get update")
    return max(packages, key=_version)


def fetch(series: str, cache: str) -> Kernel:
    """Return the newest kernel of *series*, downloading and unpacking it into *cache* once.

    Without an index to ask (no network), the newest kernel of the series already in the cache
    is used. Raises `NotFoundError` when there is none.
    """
    package = newest_package(series)
    folder = os.path.join(cache, package)
    if not os.path.isdir(folder):
        os.makedirs(cache, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            download = ["apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", package]
            done = subprocess.run(
                download, cwd=scratch, capture_output=True, text=True, check=False
            )
            archives = glob.glob(os.path.join(scratch, "*.deb"))
            if done.returncode or not archives:
                reason = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
                message = f"cannot download {package}: {reason[0]}"
                raise NotFoundError(message, name=package, where="apt", hint="apt-get update")
            unpacked = os.path.join(scratch, "unpacked")
            subprocess.run(["dpkg-deb", "-x", archives[0], unpacked], check=True)
            os.rename(unpacked, folder)
    (image,) = glob.glob(os.path.join(folder, "boot", "vmlinuz-*"))
    release = os.path.basename(image).removeprefix("vmlinuz-")
    for root in ("lib", "usr/lib"):  # Debian moved modules below /usr after bookworm
        modules = os.path.join(folder, root, "modules", release)
        if os.path.isdir(modules):
            return Kernel(release, image, modules)
    raise NotFoundError(f"{package} carries no modules", name=package, where=folder)


def module_files(kernel: Kernel) -> dict[str, bytes]:
    """Return the wanted modules and their dependencies, decompressed, by name in load order."""
    found: dict[str, str] = {}
    for path in glob.glob(os.path.join(kernel.modules, "kernel", "**", "*.ko*"), recursive=True):
        name = os.path.basename(path).partition(".ko")[0]
        found[name.replace("-", "_")] = path
    loaded: dict[str, bytes] = {}

    def add(name: str) -> None:
        name = name.replace("-", "_")
        if name in loaded or name not in found:
            return  # built in, or not part of this kernel
        with open(found[name], "rb") as file:
            data = file.read()
        if found[name].endswith(".xz"):
            data = lzma.decompress(data)
        for dependency in _dependencies(data):
            add(dependency)
        loaded[name] = data

    for name in MODULES:
        add(name)
    return loaded


def _dependencies(module: bytes) -> list[str]:
    # The .modinfo section holds NUL-separated "key=value" strings; depends= names what comes
    # first (include/linux/module.h, MODULE_INFO), softdep= names what is asked for by name.
    names: list[str] = []
    for key in (b"depends=", b"softdep=pre: "):
        match = re.search(rb"(?:^|\0)" + key + rb"([^\0]*)\0", module)
        if match:
            names += match[1].decode().replace(",", " ").split()
    return names
