"""What is said when a pin cannot be made, opened or removed. Imported only then."""

from __future__ import annotations

import errno
import os

from skep.errors import KernelError, NotFoundError, SkepError
from skep.kernel import bpf
from skep.kernel.mounts import kind_at
from skep.maps import kinds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.kernel.bpf.info import MapInfo
    from skep.maps.live import LiveMap

_MAX_NAMES = 8
_MOUNT = "mount -t bpf bpf /sys/fs/bpf"


def named(map: LiveMap) -> str:
    """Return the name and type of *map*, as errors begin."""
    return f"map {map.name!r} ({kinds.type_name(map.spec.type)})"


def no_pin(path: str, error: KernelError) -> KernelError:
    """Say why nothing could be opened at *path*, and what is pinned in that folder."""
    if error.errno == errno.ENOENT:
        hint = _neighbours(path)
        message = f"no map is pinned at {path}"
    elif error.errno == errno.EINVAL:
        message, hint = f"what is pinned at {path} is no map", ""
    elif error.errno == errno.EACCES and os.path.isdir(path):
        message, hint = f"{path} is a folder, not the pin of a map", _inside(path)
    elif error.errno == errno.EACCES:
        kind = kind_at(path)
        if kind == "bpf":
            message = f"the pin {path} may not be opened: its owner and mode do not allow it"
            return _again(error, message, "run as its owner or as root, or chmod the pin")
        where = f"a file system of type {kind}" if kind else "no file system that is known"
        message = f"{path} is on {where}, and pins live on one of type bpf"
        hint = "Map.pin(path) makes a pin, below /sys/fs/bpf"
    else:
        return error
    return _again(error, message, hint)


def _inside(folder: str) -> str:
    try:
        there = sorted(os.listdir(folder))
    except OSError as problem:
        return f"it cannot be read: {problem.strerror}"
    if kind_at(folder) != "bpf":
        return "it is on no bpf file system"
    return f"in it: {', '.join(there[:_MAX_NAMES])}" if there else "nothing is pinned in it"


def _neighbours(path: str) -> str:
    from difflib import get_close_matches

    folder, name = os.path.split(os.path.abspath(path))
    try:
        there = sorted(os.listdir(folder))
    except OSError as problem:
        return f"the folder {folder} cannot be read: {problem.strerror}"
    close = get_close_matches(name, there, 3, 0.6)
    if close:
        return f"did you mean {', '.join(f'{folder}/{one}' for one in close)}?"
    if there:
        listed = ", ".join(there[:_MAX_NAMES])
        return f"in {folder} there {'is' if len(there) == 1 else 'are'} {listed}"
    if kind_at(folder) != "bpf":
        return f"no bpf file system is mounted at {folder}; {_MOUNT}"
    return f"nothing is pinned in {folder}; Map.pin(path) makes a pin"


def not_pinned(map: LiveMap, path: str, error: KernelError) -> KernelError:
    """Say why *map* could not be pinned at *path*."""
    folder, name = os.path.split(os.path.abspath(path))
    kind = kind_at(folder)
    doing = f"{named(map)} cannot be pinned at {path}: "
    if error.errno == errno.EEXIST:
        return _again(error, doing + f"there is {_what_is_at(path)} already", _IN_THE_WAY)
    if error.errno == errno.ENOENT:
        return _again(error, *_no_folder(doing, folder))
    if error.errno == errno.EPERM and kind != "bpf":
        what = f"a file system of type {kind}" if kind else "no bpf file system"
        message = f"{doing}{folder} is on {what}, and pins live on one of type bpf"
        return _again(error, message, f"pin it below /sys/fs/bpf; if that is empty: {_MOUNT}")
    if error.errno == errno.EPERM and "." in name:
        # bpf_lookup() in kernel/bpf/inode.c: "Dots in names are reserved for future use".
        message = f"{doing}a bpf file system takes no name with a dot"
        return _again(error, message, f"call it {name.replace('.', '_')}")
    if error.errno == errno.ENOTDIR:
        return _again(error, f"{doing}a part of {folder} is a file", "pin it in a folder")
    return error


_IN_THE_WAY = (
    "unpin it first or take another name; pinning='by_name' in the spec opens what is there"
)


def _no_folder(doing: str, folder: str) -> tuple[str, str]:
    """Name the first folder on the way that is missing."""
    missing = folder
    while not os.path.lexists(os.path.dirname(missing)):
        missing = os.path.dirname(missing)
    hint = f"os.makedirs({folder!r})"
    if kind_at(missing) != "bpf":
        hint = f"no bpf file system is mounted there; {_MOUNT}"
    return f"{doing}there is no folder {missing}", hint


def _what_is_at(path: str) -> str:
    try:
        fd = bpf.obj_get(path)
    except SkepError:
        return "something"
    with fd:
        try:
            info = bpf.map_info(fd)
        except SkepError:
            return "something that is no map"
        return _described(info)


def _described(info: MapInfo) -> str:
    return f"map {info.name!r} ({kinds.type_name(info.type)}, id {info.id})"


def pin_of_another(map: LiveMap, path: str, there: MapInfo) -> NotFoundError:
    """Make the error for removing a pin of another map."""
    return NotFoundError(
        f"{named(map)} is not pinned at {path}: that is {_described(there)}",
        hint="os.unlink(path) removes any pin",
        name=path,
        where=path,
    )


def _again(error: KernelError, message: str, hint: str) -> KernelError:
    return KernelError(message, **{**error.evidence, "hint": hint, "call": error.call})
