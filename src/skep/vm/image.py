"""The guest's root: an ext4 image with this interpreter and its packages.

Everything keeps its absolute path, so a virtual environment works unchanged in the guest. The
image is attached with a throw-away overlay: several guests may use it at once. The project's own
files change all the time and are sent with each run instead (`skep.vm.guest`).
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile

# Parts of an installation that no test in a guest runs: they would double the image.
LEFT_OUT = re.compile(
    r"/(test|tests|idlelib|tkinter|turtledemo|lib2to3|ensurepip|ziglang|mypy|mypyc|pip|setuptools"
    r"|ruff|grimp|config-[^/]*"
    r")(/|$)"
)


def _libraries(program: str) -> list[str]:
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    return re.findall(r"(/\S+) \(0x", listed)


def _copy(source: str, stage: str) -> None:
    """Copy a file or folder below *stage* under its own path, without what is left out."""
    if os.path.islink(source):
        target = os.path.join(stage, source.lstrip("/"))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if not os.path.lexists(target):
            os.symlink(os.readlink(source), target)
        _copy(os.path.join(os.path.dirname(source), os.readlink(source)), stage)
    elif os.path.isdir(source):
        for entry in os.scandir(source):
            if not LEFT_OUT.search(entry.path):
                _copy(entry.path, stage)
    elif os.path.isfile(source):
        target = os.path.join(stage, os.path.normpath(source).lstrip("/"))
        if not os.path.exists(target):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy2(source, target)


def _files() -> list[str]:
    """Return what the guest needs: interpreter, standard library, packages, shared libraries."""
    library = sysconfig.get_path("stdlib")
    chosen = [
        sys.executable,
        os.path.realpath(sys.executable),
        library,
        os.path.join(sys.prefix, "pyvenv.cfg"),
        sysconfig.get_path("purelib"),
        sysconfig.get_path("platlib"),
    ]
    linked = [os.path.realpath(sys.executable)]
    for folder in (os.path.join(library, "lib-dynload"), sysconfig.get_path("platlib")):
        for root, _, names in os.walk(folder):
            linked += [os.path.join(root, name) for name in names if ".so" in name]
    for program in linked:
        if not LEFT_OUT.search(program):
            chosen += _libraries(program)
    # glibc opens these by name, so ldd does not list them.
    chosen += ["/etc/passwd", "/etc/group", "/etc/ld.so.cache"]
    return [path for path in dict.fromkeys(chosen) if os.path.exists(path)]


def build(cache: str) -> str:
    """Return the path of the root image for this interpreter, making it once.

    The image is keyed by the interpreter and the versions of the installed packages.
    """
    packages = sorted(os.listdir(sysconfig.get_path("purelib")))
    key = hashlib.sha256("\n".join([sys.version, sys.executable, *packages]).encode()).hexdigest()
    path = os.path.join(cache, f"root-{key[:12]}.ext4")
    if os.path.exists(path):
        return path
    os.makedirs(cache, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        stage = os.path.join(scratch, "stage")
        for folder in ("proc", "sys", "dev", "run", "tmp"):
            os.makedirs(os.path.join(stage, folder))
        for source in _files():
            _copy(source, stage)
        image = os.path.join(scratch, "root.ext4")
        make = ["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", stage, image, "1536M"]
        # mke2fs lives in /sbin, which the path of an ordinary user lacks.
        environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/sbin"}
        subprocess.run(make, check=True, stdout=subprocess.DEVNULL, env=environment)
        os.rename(image, path)
    return path
