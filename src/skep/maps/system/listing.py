"""Every map of the system: found by id, pin or name, and who uses it.

All of it is a picture of a moment: maps, programs and processes come and go while it is taken,
and those that are gone when their turn comes are left out.
"""

from __future__ import annotations

import errno
import os

from skep.errors import KernelError, NotFoundError
from skep.kernel import bpf, descriptors
from skep.kernel.constants import MapFlags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from skep.kernel.bpf.info import MapInfo
    from skep.kernel.fd import FD

    Users = dict[int, list[tuple[int, str]]]

_MOST = 8  # ids in a sentence
_GONE = (errno.ENOENT, errno.ESTALE)


class Entry:
    """One map of the system. `memory` is bytes, None where the kernel does not say."""

    __slots__ = ("frozen", "info", "memory")

    def __init__(self, info: MapInfo, memory: int | None, frozen: bool) -> None:
        self.info = info
        self.memory = memory
        self.frozen = frozen


def describe(fd: FD) -> Entry:
    """Describe a map: what the kernel says about it, and what /proc adds."""
    facts = descriptors.facts(fd)
    memory = facts.get("memlock", "")
    return Entry(
        bpf.map_info(fd),
        int(memory) if memory.isdecimal() else None,
        facts.get("frozen", "0") == "1",
    )


def entries() -> Iterator[Entry]:
    """Yield all maps of the system by id. `PrivilegeError` without CAP_SYS_ADMIN."""
    id = bpf.next_id("map", 0)
    while id is not None:
        fd = opened(id)
        if fd is not None:
            with fd:
                yield describe(fd)
        id = bpf.next_id("map", id)


def opened(id: int) -> FD | None:
    """Open the map *id*; None when there is none (any more)."""
    try:
        return bpf.fd_by_id("map", id)
    except KernelError as error:
        if error.errno in _GONE:
            return None
        raise


def find(text: str) -> FD:
    """Open the map that *text* means: an id, a path of a pin, or a name that one map has.

    Digits are an id, what has a "/" is a path; ``id:7``, ``pin:x`` and ``name:7`` say it outright.
    `NotFoundError` when no map is meant, or when several have the name (`ids` are theirs);
    `KernelError` and `PrivilegeError` as the kernel answers.
    """
    kind, word = meaning(text)
    if kind == "id":
        return _by_id(int(word))
    if kind == "pin":
        return by_pin(word)
    found = named(word)
    if len(found) > 1:
        found = _held(found) or found
    if len(found) == 1:
        fd = opened(found[0])
        if fd is not None:
            return fd
    if len(found) > 1:
        ids = ", ".join(map(str, found[:_MOST])) + (", ..." if len(found) > _MOST else "")
        message = f"{len(found)} maps are called {word!r}: ids {ids}"
        hint = "give the id, or the path of its pin"
        raise NotFoundError(message, hint=hint, name=word, where="the kernel", ids=tuple(found))
    raise NotFoundError(
        f"no map is called {word!r}", hint=_close(word), name=word, where="the kernel", ids=()
    )


def meaning(text: str) -> tuple[str, str]:
    """Return whether *text* is an "id", a "pin" or a "name", and which."""
    kind, colon, word = text.partition(":")
    if colon and kind in ("pin", "name") and word:
        return kind, word
    number = word if colon and kind == "id" else text
    if number.isdecimal() and number.isascii():
        return "id", number
    return ("pin", text) if "/" in text else ("name", text)


def _held(ids: list[int]) -> list[int]:
    """Return those that somebody still has: a map that was closed is there for some moments more.

    The kernel frees the maps of a program after a grace period (``bpf_prog_put``).
    """
    users = {**program_users(), **process_users(), **pins()}
    return [id for id in ids if id in users]


def _by_id(id: int) -> FD:
    fd = opened(id) if 0 < id < 1 << 32 else None
    if fd is not None:
        return fd
    last, after = 0, bpf.next_id("map", 0)
    while after is not None and after < id:
        last, after = after, bpf.next_id("map", after)
    newest = f"the nearest below has id {last}" if last else "there is none below"
    message = f"there is no map with id {id}"
    hint = f"{newest}; ids of maps that are gone are not used again soon, skep map list shows all"
    raise NotFoundError(message, hint=hint, name=str(id), where="the kernel", ids=())


def by_pin(path: str) -> FD:
    """Open the map pinned at *path*, for reading only where its file allows no more."""
    try:
        fd = _by_pin(path)
    except KernelError as error:
        from skep.maps.pin_failure import no_pin

        raise no_pin(path, error) from error
    kind = descriptors.kind_of(fd)
    if kind in ("map", ""):
        return fd
    fd.close()
    what = {"prog": "a program"}.get(kind, f"a {kind}")
    raise NotFoundError(f"{path} is {what}, not a map", name=path, where="the bpf file system")


def _by_pin(path: str) -> FD:
    try:
        return bpf.obj_get(path)
    except KernelError as error:
        if error.errno != errno.EACCES or not os.access(path, os.R_OK):
            raise
    return bpf.obj_get(path, flags=MapFlags.RDONLY)


def named(name: str) -> list[int]:
    """Return the ids of all maps called *name* (the kernel keeps 15 characters)."""
    from skep.maps.spec import kernel_name

    names = {name, kernel_name(name)}
    return [one.info.id for one in entries() if one.info.name in names]


def _close(name: str) -> str:
    from difflib import get_close_matches

    names = {one.info.name for one in entries()}
    close = get_close_matches(name, sorted(names - {""}), 3, 0.6)
    return f"did you mean {', '.join(close)}?" if close else "skep map list shows all"


def program_users() -> Users:
    """Return by map id the (id, name) of the programs that use it."""
    found: Users = {}
    id = bpf.next_id("prog", 0)
    while id is not None:
        try:
            with bpf.fd_by_id("prog", id) as fd:
                info = bpf.prog_info(fd)
        except KernelError as error:
            if error.errno not in _GONE:
                raise
        else:
            for map_id in dict.fromkeys(info.map_ids):
                found.setdefault(map_id, []).append((id, info.name))
        id = bpf.next_id("prog", id)
    return found


def process_users() -> Users:
    """Return by map id the (pid, name) of the processes that have it open."""
    from skep.kernel import process

    pids: dict[int, list[int]] = {}
    for pid, id in descriptors.holders("map"):
        if pid not in pids.setdefault(id, []):
            pids[id].append(pid)
    names: dict[int, str] = {}
    found: Users = {}
    for id, those in pids.items():
        for pid in sorted(those):
            if pid not in names:
                try:
                    names[pid] = process.comm(pid)
                except (KernelError, NotFoundError):
                    names[pid] = ""
            found.setdefault(id, []).append((pid, names[pid]))
    return found


def pins() -> dict[int, list[str]]:
    """Return by map id the paths at which it is pinned, on all bpf file systems seen from here."""
    from skep.kernel.mounts import mounts

    found: dict[int, list[str]] = {}
    seen = set()
    for mount in mounts():
        if mount.kind != "bpf" or mount.device in seen:
            continue
        seen.add(mount.device)
        for path in _files(mount.point, mount.device):
            id = _pinned(path)
            if id:
                found.setdefault(id, []).append(path)
    return found


def _files(folder: str, device: int) -> Iterator[str]:
    """Yield the files of one file system, without following links."""
    try:
        inside = sorted(os.scandir(folder), key=lambda one: one.name)
    except OSError:
        return
    for one in inside:
        try:
            if one.is_dir(follow_symlinks=False):
                if one.stat(follow_symlinks=False).st_dev == device:
                    yield from _files(one.path, device)
            elif one.is_file(follow_symlinks=False):
                yield one.path
        except OSError:
            continue


def _pinned(path: str) -> int:
    """Return the id of the map pinned at *path*; 0 for anything else."""
    try:
        fd = bpf.obj_get(path, flags=MapFlags.RDONLY)
    except KernelError:
        try:
            fd = bpf.obj_get(path)
        except KernelError:
            return 0
    with fd:
        return bpf.map_info(fd).id if descriptors.kind_of(fd) == "map" else 0


def as_dict(
    entry: Entry,
    pins: dict[int, list[str]],
    programs: Users,
    processes: Users,
) -> dict[str, Any]:
    """Return what is known of a map, for JSON and tables."""
    info = entry.info
    return {
        "id": info.id,
        "type": info.kind,
        "name": info.name,
        "key_size": info.key_size,
        "value_size": info.value_size,
        "max_entries": info.max_entries,
        "flags": info.flags,
        "frozen": entry.frozen,
        "memory": entry.memory,
        "btf_id": info.btf_id,
        "pins": pins.get(info.id, []),
        "programs": [{"id": id, "name": name} for id, name in programs.get(info.id, [])],
        "processes": [{"pid": pid, "name": name} for pid, name in processes.get(info.id, [])],
    }
