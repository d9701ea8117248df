"""The guest's root: an ext4 image with this interpreter and its packages.

Everything keeps its absolute path, so a virtual environment works unchanged in the guest. The
image is attached with a throw-away overlay: several guests may use it at once. The project's own
files change all the time and are sent with each run instead (`skep.vm.guest`).
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from contextlib import suppress

from skep.errors import SkepError, UnsupportedError
from skep.vm.lock import locked
from skep.vm.programs import find, need

# Parts of an installation that no test in a guest runs: they would triple the image.
LEFT_OUT = re.compile(
    r"/(test|tests|idlelib|tkinter|turtledemo|lib2to3|ensurepip|ziglang|mypy|mypyc|pip|setuptools"
    r"|ruff|grimp|pkg_resources|config-[^/]*|[^/]*__mypyc[^/]*"
    r")(/|$)"
)
# Programs that tests use and busybox lacks, or has less of; those that this machine has.
PROGRAMS = ("setpriv", "unshare", "taskset", "bpftool")
WEEK = 7 * 24 * 3600
SIZE = "1536M"  # sparse: what the packages do not fill takes no room


def _libraries(programs: list[str]) -> list[str]:
    """List the shared libraries of all *programs*, as the dynamic linker finds them."""
    listed = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=False).stdout
    return re.findall(r"(/\S+) \(0x", listed)


def _copy(source: str, stage: str, outside: frozenset[str] = frozenset()) -> None:
    """Copy a file or folder below *stage* under its own path, without *outside*, LEFT_OUT."""
    if os.path.islink(source):
        target = os.path.join(stage, source.lstrip("/"))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if not os.path.lexists(target):
            os.symlink(os.readlink(source), target)
        _copy(os.path.join(os.path.dirname(source), os.readlink(source)), stage, outside)
    elif os.path.isdir(source):
        for entry in os.scandir(source):
            if not LEFT_OUT.search(entry.path) and entry.path not in outside:
                _copy(entry.path, stage, outside)
    elif os.path.isfile(source):
        target = os.path.join(stage, source.lstrip("/"))
        if not os.path.exists(target):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy2(source, target)


def _files() -> list[str]:
    """Return what the guest needs: interpreter, standard library, packages, shared libraries."""
    library = sysconfig.get_path("stdlib")
    packages = dict.fromkeys((sysconfig.get_path("purelib"), sysconfig.get_path("platlib")))
    chosen = [
        sysconfig.get_path("scripts"),
        sys.executable,
        os.path.realpath(sys.executable),
        library,
        os.path.join(sys.prefix, "pyvenv.cfg"),
        *packages,
    ]
    programs = [path for name in PROGRAMS if (path := find(name))]
    chosen += programs
    linked = [os.path.realpath(sys.executable), *map(os.path.realpath, programs)]
    for folder in (os.path.join(library, "lib-dynload"), *packages):
        for root, _, names in os.walk(folder):
            linked += [os.path.join(root, name) for name in names if ".so" in name]
    chosen += _libraries([program for program in linked if not LEFT_OUT.search(program)])
    # glibc opens these by name, so ldd does not list them: names of users, of libraries, of hosts.
    chosen += ["/etc/passwd", "/etc/group", "/etc/ld.so.cache", "/etc/nsswitch.conf"]
    # Threads that end need this one, and only then (pthread_exit(3), pthread_cancel(3)).
    for path in list(chosen):
        if os.path.basename(path) == "libc.so.6":
            chosen += glob.glob(os.path.join(os.path.dirname(path), "libgcc_s.so.1"))
    return [path for path in dict.fromkeys(chosen) if os.path.exists(path)]


def _outside() -> frozenset[str]:
    """List the packages of the interpreter below a virtual environment that does not see them."""
    library = sysconfig.get_path("stdlib")
    folders = {os.path.join(library, name) for name in ("site-packages", "dist-packages")}
    return frozenset(folders - set(sys.path))


def _key() -> str:
    """Digest what decides about the image: interpreter, packages with versions, these rules."""
    packages = sorted(os.listdir(sysconfig.get_path("purelib")))
    with open(__file__, encoding="utf-8") as rules:
        parts = [sys.version, sys.executable, *packages, rules.read()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def build(cache: str) -> str:
    """Return the path of the root image for this interpreter, making it once, in 8 s.

    Images that were last used more than a week ago are removed from *cache*.
    Raises `NotFoundError` without mke2fs, `SkepError` when it fails, `UnsupportedError` on other
    machines than x86-64. Safe to call from several processes.
    """
    if os.uname().machine != "x86_64":
        message = f"guests are x86-64 machines, and this interpreter is for {os.uname().machine}"
        raise UnsupportedError(message, feature="vm")
    path = os.path.join(cache, f"root-{_key()}.ext4")
    with locked(cache):
        if os.path.exists(path):
            with suppress(PermissionError):  # another user's cache
                os.utime(path)
            return path
        make = need("mke2fs", "e2fsprogs")
        with tempfile.TemporaryDirectory(dir=cache, prefix="image-") as scratch:
            stage = os.path.join(scratch, "stage")
            for folder in ("proc", "sys", "dev", "run", "tmp"):
                os.makedirs(os.path.join(stage, folder))
            for source in _files():
                _copy(source, stage, _outside())
            image = os.path.join(scratch, "root.ext4")
            options = ["-q", "-t", "ext4", "-O", "^has_journal", "-d", stage, image, SIZE]
            done = subprocess.run([make, *options], capture_output=True, text=True, check=False)
            if done.returncode:
                reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
                raise SkepError(f"mke2fs could not make the guests' root image: {reason}")
            for old in glob.glob(os.path.join(glob.escape(cache), "root-*.ext4")):
                if os.stat(old).st_mtime < time.time() - WEEK:
                    os.unlink(old)
            os.rename(image, path)
    return path
