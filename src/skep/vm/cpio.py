"""Writes cpio archives in the "newc" format, which the kernel unpacks as its first file system.

The format: Documentation/driver-api/early-userspace/buffer-format.rst in the kernel's tree.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Entry(NamedTuple):
    """One member of an archive: `mode` with its file type, `data`, time of change in seconds."""

    mode: int
    data: bytes = b""
    changed: int = 0


def text(content: str, *, executable: bool = False) -> Entry:
    """Make an entry of a file with *content*."""
    return Entry(stat.S_IFREG | (0o755 if executable else 0o644), content.encode())


def from_disk(path: str) -> Entry:
    """Read the file or symbolic link at *path*, with its mode and time of change.

    Raises `OSError` when it cannot be read.
    """
    info = os.lstat(path)
    if stat.S_ISLNK(info.st_mode):
        return Entry(info.st_mode, os.fsencode(os.readlink(path)), int(info.st_mtime))
    with open(path, "rb") as file:
        # The times make Python accept the byte code that lies beside its source.
        return Entry(stat.S_IFREG | stat.S_IMODE(info.st_mode), file.read(), int(info.st_mtime))


def tree(path: str) -> dict[str, Entry]:
    """Read a file, or all files below a folder, each under its absolute path without the slash."""
    if not os.path.isdir(path) or os.path.islink(path):
        return {os.path.abspath(path).lstrip("/"): from_disk(path)}
    found = {}
    for folder, _, names in os.walk(os.path.abspath(path)):
        for name in names:
            member = os.path.join(folder, name)
            # Sockets and pipes, and files that another process removed meanwhile, stay out.
            if os.path.islink(member) or os.path.isfile(member):
                try:
                    found[member.lstrip("/")] = from_disk(member)
                except FileNotFoundError:
                    continue
    return found


def _parents(path: str) -> Iterator[str]:
    end = path.find("/")
    while end > 0:
        yield path[:end]
        end = path.find("/", end + 1)


def archive(entries: Mapping[str, Entry]) -> bytes:
    """Pack *entries*, by path without a leading slash; missing parent folders are added."""
    folders = sorted({parent for path in entries for parent in _parents(path)} - entries.keys())
    members = [(path, Entry(stat.S_IFDIR | 0o755)) for path in folders]
    members += entries.items()
    members.append(("TRAILER!!!", Entry(0)))
    parts = []
    for number, (path, entry) in enumerate(members, 1):
        name = os.fsencode(path) + b"\0"
        size = len(entry.data)
        fields = (number, entry.mode, 0, 0, 1, entry.changed, size, 0, 0, 0, 0, len(name), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
        parts += [head, bytes(-len(head) % 4), entry.data, bytes(-size % 4)]
    return b"".join(parts)
