"""Debian's cloud kernels, downloaded as packages, unpacked and never installed.

A series such as ``"6.1"`` is resolved to its newest release in the package index, because
superseded kernel packages disappear from the archive. What was fetched is kept in the cache.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess
import tempfile

from skep.errors import NotFoundError, UnsupportedError
from skep.vm.lock import locked
from skep.vm.programs import find, need


class Kernel:
    """A kernel that can be booted: its release, its image and its module folder."""

    def __init__(self, release: str, image: str, modules: str) -> None:
        self.release = release
        self.image = image
        self.modules = modules

    def __repr__(self) -> str:
        return f"<Kernel {self.release}>"


def newest(series: str, packages: list[str]) -> str | None:
    """Pick the newest release of *series* from package names; None when there is none.

    A release has its package revision in the name; the meta package of a series has none.
    """
    release = re.compile(
        rf"linux-image-{re.escape(series)}(\.\d+)*(\+\w+|-\d+)(\+\w+)?-cloud-amd64"
    )
    found = [name for name in packages if release.fullmatch(name)]
    return max(found, key=lambda name: [int(n) for n in re.findall(r"\d+", name)], default=None)


def _listed(series: str) -> str | None:
    """Ask the machine's package index for the newest release of *series*."""
    command = ["apt-cache", "search", "--names-only", f"^linux-image-{re.escape(series)}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return newest(series, [line.split()[0] for line in done.stdout.splitlines() if line])


def _download(package: str, cache: str) -> None:
    """Put the unpacked *package* into *cache*; `NotFoundError` with apt's reason."""
    with tempfile.TemporaryDirectory(dir=cache, prefix="kernel-") as scratch:
        command = ["apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", package]
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
        archives = glob.glob(os.path.join(glob.escape(scratch), "*.deb"))
        if done.returncode or not archives:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            message = f"cannot download {package}: {reason}"
            raise NotFoundError(message, name=package, where="apt", hint="apt-get update")
        unpacked = os.path.join(scratch, "unpacked")
        subprocess.run([need("dpkg-deb"), "-x", archives[0], unpacked], check=True)
        os.rename(unpacked, os.path.join(cache, package))


def fetch(series: str, cache: str) -> Kernel:
    """Return the newest kernel of *series*, downloading and unpacking it into *cache* once.

    The machine's package index decides what is newest (Debian 12 has 6.1 and 6.12). When there
    is no network the newest kernel in *cache* will do. Raises `NotFoundError` when there is
    none, `UnsupportedError` on machines without apt. Safe to call from several threads and
    processes.
    """
    with locked(cache):
        cached = newest(series, os.listdir(cache))
        package = cached
        if find("apt-get") is None:
            if cached is None:
                message = "guest kernels are Debian packages, and this machine has no apt"
                raise UnsupportedError(message, feature="vm")
        else:
            package = _listed(series) or cached
        if package is None:
            message = f"the package index has no cloud kernel of the series {series!r}"
            hint = "apt-get update; Debian 12 has 6.1 and 6.12"
            raise NotFoundError(message, name=series, where="apt", hint=hint)
        if not os.path.isdir(os.path.join(cache, package)):
            try:
                _download(package, cache)
            except NotFoundError:
                if cached is None:
                    raise
                package = cached
            else:
                if cached is not None:  # superseded
                    shutil.rmtree(os.path.join(cache, cached))
    return opened(os.path.join(cache, package))


def opened(folder: str) -> Kernel:
    """Return the kernel in an unpacked package; `NotFoundError` when it is incomplete."""
    for image in glob.glob(os.path.join(glob.escape(folder), "boot", "vmlinuz-*")):
        release = os.path.basename(image).removeprefix("vmlinuz-")
        for root in ("lib", "usr/lib"):  # Debian moved modules below /usr after bookworm
            modules = os.path.join(folder, root, "modules", release)
            if os.path.isdir(modules):
                return Kernel(release, image, modules)
    package = os.path.basename(folder)
    message = f"{package} in the cache has no kernel image, or no modules for it"
    raise NotFoundError(message, name=package, where=folder, hint=f"rm -r {folder}")
