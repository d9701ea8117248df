"""What results are compared with: facts about this kernel, found without the loader."""

from __future__ import annotations

import gzip
import os
from functools import cache
from pathlib import Path

from skep.btf import types as t
from skep.btf.kernel import kernel_btf
from skep.kernel.release import release


def comm() -> str:
    """Return the name of this thread."""
    return Path("/proc/thread-self/comm").read_text().strip()


def parent() -> int:
    return os.getppid()


def threads() -> int:
    return len(os.listdir("/proc/self/task"))


def size_of(name: str, kind: t.Kind = t.Kind.STRUCT) -> int:
    """Return the size of a kernel type; 0 when there is none."""
    found = kernel_btf().find(name, kind)
    return kernel_btf().size_of(found[0]) if found else 0


def type_id(name: str, kind: t.Kind = t.Kind.STRUCT) -> int:
    return kernel_btf().find(name, kind)[0]


def member(type_name: str, name: str) -> tuple[int, int]:
    """Return offset and size, in bytes, of a member of a kernel structure, (-1, 0) if it has none.

    Members of anonymous structures count as its own.
    """
    return _member(type_id(type_name), name)


def _member(id_: int, name: str) -> tuple[int, int]:
    btf = kernel_btf()
    composite = btf.strip(id_)
    if not isinstance(composite, t.Struct | t.Union):
        return -1, 0
    for each in composite.members:
        if each.name == name:
            return each.bit_offset // 8, btf.size_of(each.type_id)
        if not each.name:
            offset, size = _member(each.type_id, name)
            if offset >= 0:
                return each.bit_offset // 8 + offset, size
    return -1, 0


def has_type(name: str, kind: t.Kind) -> bool:
    return bool(kernel_btf().find(name, kind))


def task_flags() -> int:
    """Return the flags of this thread as /proc shows them (the ninth field of stat)."""
    text = Path("/proc/thread-self/stat").read_text()
    return int(text.rpartition(")")[2].split()[6])


@cache
def configuration() -> dict[str, str]:
    """Read the kernel's configuration: values as written, quotes included."""
    packed = Path("/proc/config.gz")
    if packed.exists():
        text = gzip.decompress(packed.read_bytes()).decode()
    else:
        text = Path(f"/boot/config-{os.uname().release}").read_text()
    pairs = (line.partition("=") for line in text.splitlines() if line.startswith("CONFIG_"))
    return {name: value for name, _, value in pairs}


def option(name: str) -> int:
    """Return an option's value: a number, 1 for y, 2 for m, 0 for what is not set."""
    value = configuration().get(name, "n")
    return {"n": 0, "y": 1, "m": 2}[value] if value in "nym" else int(value, 0)


def version_code() -> int:
    """Return the kernel's version as KERNEL_VERSION() packs it.

    Debian's release has a zero where the version, "#1 SMP ... Debian 6.1.192-2 (...)", has more.
    """
    major, minor, patch = release()
    _, debian, rest = os.uname().version.partition("Debian ")
    if debian:
        patch = int(rest.split("-")[0].split(".")[2])
    return major << 16 | minor << 8 | min(patch, 255)


@cache
def symbols() -> dict[str, int]:
    """Return the addresses of the kernel's own symbols."""
    found: dict[str, int] = {}
    with open("/proc/kallsyms") as lines:
        for line in lines:
            address, _, name, *module = line.split()
            if not module:
                found.setdefault(name, int(address, 16))
    return found
