"""The programs that guests are made with, and the Debian packages they come from."""

from __future__ import annotations

import os
import shutil
import subprocess

from skep.errors import NotFoundError

PACKAGES = {
    "qemu-system-x86_64": "qemu-system-x86",
    "busybox": "busybox-static",
    "mke2fs": "e2fsprogs",
    "dpkg-deb": "dpkg",
    "apt-get": "apt",
    "setpriv": "util-linux",
}
"""Package by program. modprobe, cpio and xz are not needed: Python does what they would do."""


def find(program: str) -> str | None:
    """Return the path of *program*; /sbin counts, which the PATH of an ordinary user lacks."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/sbin:/usr/sbin")


def need(program: str, package: str = "") -> str:
    """Return the path of *program*; `NotFoundError` naming its Debian package without it."""
    found = find(program)
    if found is None:
        package = package or PACKAGES[program]
        message = f"virtual machines need {program}, which is not installed"
        raise NotFoundError(message, name=program, where="PATH", hint=f"apt install {package}")
    return found


def missing() -> list[str]:
    """List the Debian packages that have to be installed before a guest can run."""
    return [package for program, package in PACKAGES.items() if find(program) is None]


def install() -> None:
    """Install what is `missing` with apt-get, as root; `NotFoundError` where that cannot be.

    Changes the machine, so nothing calls it but ``python -m skep.vm --install``.
    """
    packages = missing()
    if not packages:
        return
    listed = " ".join(packages)
    if os.geteuid() != 0 or find("apt-get") is None:
        message = f"virtual machines need these Debian packages: {listed}"
        raise NotFoundError(message, name=listed, where="PATH", hint=f"apt install {listed}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]
    for attempt in (["apt-get", "update", "-q"], command):
        done = subprocess.run(
            attempt, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
    if missing():
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        message = f"apt-get could not install {listed}: {reason}"
        raise NotFoundError(message, name=listed, where="apt", hint=f"apt install {listed}")
