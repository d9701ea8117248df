"""Local storages: a value that lives with a task, inode, socket or cgroup, and ends with it.

Source: kernel/bpf/bpf_{task,inode,cgrp,local}_storage.c and net/core/bpf_sk_storage.c, Linux 6.18.
Programs reach the value through the object they have in hand (`bpf_task_storage_get` and so on).
User space names the object by a descriptor; these classes open and close it.
"""

from __future__ import annotations

import errno
import sys

from skep.errors import (
    ClosedError,
    KernelError,
    MissingKeyError,
    NotFoundError,
    SkepError,
    UnsupportedError,
)
from skep.generic import Generic, K, V
from skep.maps.types import resolve
from skep.maps.types.pairs import OneByOne

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from skep.maps.cells import Cells
    from skep.maps.types.resolve import Held

_ABSENT: Any = object()


class DescriptorCell:
    """The key of a storage: the number of a descriptor, of whatever `resolve` returned."""

    __slots__ = ()

    size = 4

    def pack(self, value: Any) -> bytes:
        """Return the number of the descriptor *value* has."""
        number: int = value.fileno()
        return number.to_bytes(4, sys.byteorder)

    def unpack(self, buffer: Any, offset: int = 0) -> int:
        """Return the number."""
        return int.from_bytes(buffer[offset : offset + 4], sys.byteorder)


class _Named:
    """A descriptor that looks like the key it was made from."""

    __slots__ = ("_given", "_held")

    def __init__(self, held: Held, given: Any) -> None:
        self._held = held
        self._given = given

    def fileno(self) -> int:
        """Return the descriptor's number."""
        return self._held.fileno()

    def __repr__(self) -> str:
        return repr(self._given)


class LocalStorage(OneByOne[K, V], Generic[K, V]):
    """Base of the storages: item access by what `TaskStorage` and the others take as a key.

    ``m[key]`` is `MissingKeyError` when the object has no value in this map. A key that cannot be
    resolved is another error, also in `get` and ``in``: `NotFoundError` for a process, file or
    cgroup that is not there, `ClosedError` for a closed socket or descriptor, `TypeMismatchError`
    for something of another kind.

    The kernel has no way to list the entries of a storage or to handle several in one call:
    `update` and `delete` go key by key, and iteration, `count`, `clear` and the columns that are
    read are `UnsupportedError`.
    """

    __slots__ = ()

    EXPECTED = ""
    """What a key is, in messages."""
    LISTED = ""
    """What lists all entries, in the hint of a refused iteration."""

    def _make_cells(self) -> Cells:
        from skep.maps.cells import Cells

        return Cells(self.spec, key=DescriptorCell())

    def _resolve(self, key: Any, where: str) -> Held:
        raise NotImplementedError

    def _gone(self, held: Held, key: Any) -> SkepError | None:
        """Return the error when the object of a key ceased to be; None while it is there."""
        del held, key  # a file, socket or cgroup is there as long as its descriptor
        return None

    def _with(self, key: Any, method: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Call *method* with the descriptor of *key*; say what is wrong in terms of *key*."""
        where = f"map {self.name!r}, key"
        held = self._resolve(key, where)
        try:
            return method(_Named(held, key), *arguments, **options)
        except SkepError as error:
            raise self._told(error, held, key, where) from None
        finally:
            held.close()

    def _told(self, error: SkepError, held: Held, key: Any, where: str) -> SkepError:
        code = getattr(error, "errno", 0)
        missing = isinstance(error, MissingKeyError)
        if missing or code == errno.ENOENT:
            gone = self._gone(held, key)
            if gone is not None:
                return gone
            if not missing:
                return self._missing(key)
        if code in (errno.EBADF, errno.ENOTSOCK) and isinstance(error, KernelError):
            return self._not_taken(held, key, where)
        if isinstance(error.evidence.get("key"), _Named):
            error.key = error.evidence["key"] = key  # type: ignore[attr-defined]
        return error

    def _not_taken(self, held: Held, key: Any, where: str) -> SkepError:
        return resolve.refused(held, key, where, self.EXPECTED)

    def __getitem__(self, key: K) -> V:
        found: V = self._with(key, super().__getitem__)
        return found

    def get(self, key: K, default: Any = None, *, lock: bool = False) -> Any:
        """Return the value of *key*, or *default* when its object has none in this map."""
        found = self._with(key, self._get, lock)
        return default if found is _ABSENT else found

    def _get(self, held: Any, lock: bool) -> Any:
        found = super().get(held, _ABSENT, lock=lock)
        if found is _ABSENT:
            gone = self._gone(held, held)
            if gone is not None:
                raise gone
        return found

    def __contains__(self, key: object) -> bool:
        return self._with(key, self._get, False) is not _ABSENT

    def __setitem__(self, key: K, value: Any) -> None:
        self._with(key, super().__setitem__, value)

    def __delitem__(self, key: K) -> None:
        self._with(key, super().__delitem__)

    def store(self, key: K, value: Any, *, flags: int = 0, lock: bool = False) -> None:
        """Store *value* under *key*; *flags* are `UpdateFlags`."""
        self._with(key, super().store, value, flags=flags, lock=lock)

    def insert(self, key: K, value: Any, *, lock: bool = False) -> None:
        """Store the first *value* of *key*; `KeyPresentError` when it has one."""
        self._with(key, super().insert, value, lock=lock)

    def replace(self, key: K, value: Any, *, lock: bool = False) -> None:
        """Store another *value* of *key*; `MissingKeyError` when it has none."""
        self._with(key, super().replace, value, lock=lock)

    def setdefault(self, key: K, default: Any) -> Any:
        """Return the value of *key*, which is *default* from now on when it had none."""
        return self._with(key, super().setdefault, default)

    def pop(self, key: K, default: Any = _ABSENT) -> Any:
        """Remove the value of *key* and return it; *default*, or `MissingKeyError`, when absent.

        Two calls: a program may write in between, and that write is removed too.
        """
        try:
            return self._with(key, super().pop)
        except MissingKeyError:
            if default is _ABSENT:
                raise
            return default

    # All entries

    def _unlisted(self) -> UnsupportedError:
        message = f"{self._what()}: the kernel does not list the entries of a storage"
        hint = f"look up the keys you know; in the kernel, {self.LISTED} sees all of them"
        return UnsupportedError(message, hint=hint, feature="walk of a storage")

    def __iter__(self) -> NoReturn:
        raise self._unlisted()

    def items(self) -> NoReturn:
        """Raise `UnsupportedError`: the kernel does not list the entries."""
        raise self._unlisted()

    keys = values = count = clear = drain = items

    def read(self, **_: Any) -> NoReturn:
        """Raise `UnsupportedError`: the kernel does not list the entries."""
        raise self._unlisted()

    def to_arrow(self, *_: Any, **__: Any) -> NoReturn:
        """Raise `UnsupportedError`: the kernel does not list the entries."""
        raise self._unlisted()


class TaskStorage(LocalStorage[K, V], Generic[K, V]):
    """Storage of processes and threads (TASK_STORAGE, Linux 5.11).

    A key is a pid, as the pid namespace of this process has it, or an object with the ``fileno()``
    of a pidfd. For a pid the pidfd is opened and closed within the call; a pidfd cannot come to
    mean another process, as a pid can. The pid of a process is its first thread; other threads
    have values of their own, and their pids need Linux 6.9 (PIDFD_THREAD, `UnsupportedError`).
    """

    __slots__ = ()

    EXPECTED = "a pid or a pidfd"
    LISTED = 'a program in SEC("iter/task")'

    def _resolve(self, key: Any, where: str) -> Held:
        return resolve.task(key, where)

    def _gone(self, held: Held, key: Any) -> SkepError | None:
        if not resolve.gone(held):
            return None
        which = f"process {key}" if isinstance(key, int) else f"the process of {key!r:.60}"
        return NotFoundError(
            f"map {self.name!r}, key: {which} has ended, and its storage with it",
            name=str(key),
            where="/proc",
        )


class InodeStorage(LocalStorage[K, V], Generic[K, V]):
    """Storage of files (INODE_STORAGE, Linux 5.10, with BPF among the kernel's security modules).

    A key is a path, an open file, or a descriptor. A path is resolved at each call, in the mount
    namespace of this process, following links; nothing is opened for reading. All names and
    descriptors of one file are one key. The value ends when the kernel forgets the inode, which may
    be long before the file is removed.
    """

    __slots__ = ()

    EXPECTED = "a file"
    LISTED = 'a program of a security hook (SEC("lsm/..."))'

    def _resolve(self, key: Any, where: str) -> Held:
        return resolve.file(key, where)

    def _not_taken(self, held: Held, key: Any, where: str) -> SkepError:
        error = resolve.refused(held, key, where, self.EXPECTED)
        if isinstance(error, ClosedError):
            return error
        return UnsupportedError(
            f"{self._what()}: this kernel keeps no storage for inodes",
            hint='it needs CONFIG_BPF_LSM, and "bpf" in the kernel\'s lsm= list',
            feature="inode storage",
        )


class SocketStorage(LocalStorage[K, V], Generic[K, V]):
    """Storage of sockets (SK_STORAGE, Linux 5.2). A key is a socket, or a descriptor of one.

    The value is copied to the sockets that a listener accepts when the map has the flag CLONE.
    """

    __slots__ = ()

    EXPECTED = "a socket"
    LISTED = 'a program in SEC("iter/bpf_sk_storage_map")'

    def _resolve(self, key: Any, where: str) -> Held:
        return resolve.socket(key, where)


class CgroupStorage(LocalStorage[K, V], Generic[K, V]):
    """Storage of cgroups (CGRP_STORAGE, Linux 6.2).

    A key is the path of the cgroup's folder, or a descriptor of it; since Linux 6.8 it may be one
    of a version 1 hierarchy.
    """

    __slots__ = ()

    EXPECTED = "a cgroup"
    LISTED = 'a program in SEC("iter/cgroup")'

    def _resolve(self, key: Any, where: str) -> Held:
        return resolve.cgroup(key, where)
