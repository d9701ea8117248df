"""`CgroupArray`: CGROUP_ARRAY maps, cgroups that programs compare tasks and packets with.

Source: kernel/bpf/arraymap.c ``cgroup_fd_array_*``, Linux 6.18.
"""

from __future__ import annotations

import os

from skep.errors import NotFoundError, SkepError, TypeMismatchError
from skep.kernel.fd import FD
from skep.maps.types.handles import HandleMap
from skep.maps.types.write_only import WriteOnly

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.errors import KernelError


class CgroupArray(WriteOnly, HandleMap[int, int]):
    """A live array of cgroups.

    ``m[index] = cgroup`` puts one in: the path of its directory in the cgroup v2 hierarchy, or a
    descriptor of it. Programs ask with `bpf_current_task_under_cgroup` and
    `bpf_skb_under_cgroup` whether a task or packet belongs to it or to one below. ``del m[index]``
    takes it out. The array holds on to a cgroup whose directory is removed. The kernel tells
    nobody what is in the array: looking up and walking are an `UnsupportedError`.
    """

    __slots__ = ()

    WHAT = "a directory of cgroup v2"
    INSTEAD = "whoever puts the cgroups in has to remember them"

    def _store(self, key: Any, value: Any, flags: int) -> None:
        if not isinstance(value, (str, os.PathLike)):
            super()._store(key, value, flags)
            return
        path = os.fspath(value)
        try:
            number = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (OSError, ValueError) as error:  # ValueError: a NUL, or a lone surrogate
            why = getattr(error, "strerror", None) or "no such name is possible"
            raise NotFoundError(
                f"{self._what()}: there is no cgroup {path!r:.200}: {why}",
                hint=_where(),
                name=str(path),
                where="the cgroup v2 file system",
            ) from error
        with FD(number, f"cgroup {path!r}") as directory:
            super()._store(key, directory, flags)

    def _refusal(self, error: KernelError, value: Any) -> SkepError | None:
        found = super()._refusal(error, getattr(value, "what", value))
        if isinstance(found, TypeMismatchError):
            found.hint = _where()
        return found


def _where() -> str:
    from skep.kernel.mounts import mounts

    points = [mount.point for mount in mounts() if mount.kind == "cgroup2"]
    if not points:
        return "no cgroup v2 hierarchy is mounted: mount -t cgroup2 none DIRECTORY"
    return f"cgroup v2 is mounted at {' and '.join(points)}"
