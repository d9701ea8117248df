"""Finds the file behind a short name: ``python3``, ``c``, ``libssl``, ``libc.so.6``."""

from __future__ import annotations

import os
import struct

from skep.errors import NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_FOLDERS = ("/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib64", "/usr/local/lib")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# /etc/ld.so.cache (glibc elf/cache.c, struct cache_file_new): this magic, then 32-bit numbers:
# entries, bytes of strings, flags, offset of extensions, three unused. An entry is flags, offset
# of the name, offset of the path (both from the magic), OS version, and 64 bits of capabilities.
_CACHE_MAGIC = b"glibc-ld.so.cache1.1"
_CACHE_HEADER, _CACHE_ENTRY = 48, 24
_ELF_LIBC6 = 3
_CACHE_FLAGS = {"x86_64": 0x0300 | _ELF_LIBC6, "aarch64": 0x0A00 | _ELF_LIBC6}


def resolve_binary(name_or_path: str, pid: int | None = None) -> str:
    """Return the path of a binary given by path, or by the name of a program or library.

    With a slash it is a path. Else it is looked for among what process *pid* has mapped (if
    given), the programs on the PATH, and the libraries the dynamic loader knows: ``c``, ``libc``,
    ``libc.so`` and ``libc.so.6`` all mean the C library. With *pid* all of it is seen as that
    process sees it (containers), and the result starts with ``/proc/PID/root``.

    Raises NotFoundError.
    """
    root = ""
    if pid is not None:
        root = f"/proc/{pid}/root"
        if not os.path.isdir(f"/proc/{pid}"):
            raise NotFoundError(f"there is no process {pid}", name=str(pid), where="/proc")
    where = f"for process {pid}" if root else "on this machine"
    if "/" in name_or_path:
        if root and not name_or_path.startswith("/"):
            # Relative to where the user is; the process may be somewhere else.
            path = root + os.path.abspath(name_or_path)
        else:
            path = root + name_or_path
        if not os.path.isfile(path):
            what = "is a folder" if os.path.isdir(path) else "does not exist"
            message = f"the binary {name_or_path} {what} {where}"
            raise NotFoundError(message, name=name_or_path, where=root or "/")
        return path
    if not name_or_path:
        raise NotFoundError("the name of the binary is empty", name="", where=root or "/")
    for path in _candidates(name_or_path, root, pid):
        if os.path.isfile(path):
            return path
    message = f"there is no program or library called {name_or_path} {where}"
    raise NotFoundError(message, hint="give its path", name=name_or_path, where=root or "/")


def _candidates(name: str, root: str, pid: int | None) -> Iterator[str]:
    """Paths that *name* may mean, the best first; they need not exist."""
    if pid is not None:
        yield from (root + path for path in sorted(_mapped(pid)) if _means(name, path))
    if not _is_library_file(name):
        search = _PATH if root else os.environ.get("PATH", os.defpath)
        for folder in search.split(os.pathsep):
            path = root + os.path.join(os.path.abspath(folder or "."), name)
            if os.access(path, os.X_OK) and os.path.isfile(path):
                yield path
    cached = (path for soname, path in _cache(root) if _means(name, soname))
    yield from (root + path for path in sorted(cached, key=_preference))
    for folder in (*_FOLDERS, *_multiarch(root)):
        try:
            entries = os.listdir(root + folder)
        except OSError:
            continue
        for entry in sorted((entry for entry in entries if _means(name, entry)), key=_preference):
            yield f"{root}{folder}/{entry}"


def _preference(path: str) -> tuple[int, str]:
    """Sort libc.so.6 before libc.so.6.1: the shortest is the one that programs ask for."""
    return len(os.path.basename(path)), path


def _is_library_file(name: str) -> bool:
    return name.endswith(".so") or ".so." in name


def _means(name: str, path: str) -> bool:
    """Whether the short *name* may stand for the file *path*."""
    base = os.path.basename(path)
    if base == name:
        return True
    if _is_library_file(name):
        return base.startswith(name + ".")
    if not _is_library_file(base):
        return False
    stem = base[: base.index(".so")]
    return stem in (name, "lib" + name)


def _mapped(pid: int) -> set[str]:
    """Read what files *pid* has mapped as code; nothing when it may not be looked at."""
    try:
        with open(f"/proc/{pid}/maps", "rb") as lines:
            rows = [line.rstrip(b"\n").split(None, 5) for line in lines]
    except OSError:
        return set()
    return {
        os.fsdecode(row[5])
        for row in rows
        if len(row) == 6 and b"x" in row[1] and row[5].startswith(b"/")
    }


def _multiarch(root: str) -> list[str]:
    """Debian's library folders for this machine."""
    name = f"{os.uname().machine}-linux-gnu"
    return [
        folder for folder in (f"/lib/{name}", f"/usr/lib/{name}") if os.path.isdir(root + folder)
    ]


def _cache(root: str) -> Iterator[tuple[str, str]]:
    """Read the dynamic loader's cache: library names and paths; nothing when there is none."""
    try:
        with open(f"{root}/etc/ld.so.cache", "rb") as file:
            data = file.read()
    except OSError:
        return
    start = data.find(_CACHE_MAGIC)  # an older format may come first
    if start < 0 or start + _CACHE_HEADER > len(data):
        return
    wanted = _CACHE_FLAGS.get(os.uname().machine)
    (count,) = struct.unpack_from("=I", data, start + len(_CACHE_MAGIC))
    at = start + _CACHE_HEADER
    for _ in range(min(count, (len(data) - at) // _CACHE_ENTRY)):
        flags, key, value = struct.unpack_from("=iII", data, at)
        at += _CACHE_ENTRY
        if wanted is None or flags == wanted:
            yield _string(data, start + key), _string(data, start + value)


def _string(data: bytes, offset: int) -> str:
    end = data.find(0, offset)
    return os.fsdecode(data[offset:end]) if end >= 0 else ""
