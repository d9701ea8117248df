"""`AttachedStorage`: the older storage of cgroups, a value for each attachment of a program.

CGROUP_STORAGE (Linux 4.19) and PERCPU_CGROUP_STORAGE (4.20), which the kernel calls deprecated for
the sake of CGRP_STORAGE. Source: kernel/bpf/local_storage.c, Linux 6.18.
"""

from __future__ import annotations

import errno
import os
import sys

from skep.btf.record import Record
from skep.errors import KernelError, MissingKeyError, RangeError, UnsupportedError
from skep.generic import Generic, K, V
from skep.kernel.constants import AttachType, UpdateFlags, name_of
from skep.maps.types import resolve
from skep.maps.types.pairs import OneByOne

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    import numpy as np

    from skep.maps.cells import Cells


class Attachment(Record, type_name="struct bpf_cgroup_storage_key"):
    """A key: the cgroup's id (its folder's inode number) and the attach type of the program."""

    cgroup: int
    attach_type: int

    @property
    def attach(self) -> str:
        """The attach type's name, e.g. "cgroup_inet_egress"."""
        return name_of(AttachType, self.attach_type)


class _AttachmentCell:
    """``struct bpf_cgroup_storage_key``, 16 bytes, or the cgroup's id alone, 8 bytes."""

    __slots__ = ("_where", "size")

    def __init__(self, where: str, size: int) -> None:
        self._where = where
        self.size = size

    @property
    def dtype(self) -> np.dtype[Any]:
        """What a column of keys is made of."""
        import numpy as np

        if self.size == 8:
            return np.dtype(np.uint64)
        names, formats = ["cgroup", "attach_type"], [np.uint64, np.uint32]
        return np.dtype(
            {"names": names, "formats": formats, "offsets": [0, 8], "itemsize": self.size}
        )

    def pack(self, value: Any) -> bytes:
        """Return a cgroup (id, path or descriptor), or a pair of it and the attach type."""
        attach: Any = 0
        if self.size == 16:
            if hasattr(value, "keys") and {*value} == {"cgroup", "attach_type"}:
                value = value["cgroup"], value["attach_type"]
            if not isinstance(value, (tuple, list)) or len(value) != 2:
                raise resolve.wrong(self._where, "(cgroup, attach type)", value)
            value, attach = value
            if not isinstance(attach, int) or isinstance(attach, bool):
                raise resolve.wrong(f"{self._where}, attach_type", "an AttachType", attach)
            if not 0 <= attach < 1 << 32:
                message = f"{self._where}, attach_type: {attach} is not an AttachType"
                raise RangeError(message, expected="an AttachType", given=attach)
        packed = self._cgroup(value).to_bytes(8, sys.byteorder)
        if self.size == 8:
            return packed
        number: bytes = attach.to_bytes(4, sys.byteorder)
        return packed + number + bytes(4)

    def _cgroup(self, value: Any) -> int:
        if isinstance(value, int) and not isinstance(value, bool):
            if 0 <= value < 1 << 64:
                return value
            message = f"{self._where}: {value} is not the id of a cgroup"
            raise RangeError(message, expected="0 to 2**64 - 1", given=value)
        held = resolve.cgroup(value, self._where)
        try:
            return os.fstat(held.fileno()).st_ino
        except OSError as error:
            raise resolve.refused(held, value, self._where, "a cgroup") from error
        finally:
            held.close()

    def unpack(self, buffer: Any, offset: int = 0) -> Any:
        """Return the cgroup's id, or the `Attachment`."""
        cgroup = int.from_bytes(buffer[offset : offset + 8], sys.byteorder)
        if self.size == 8:
            return cgroup
        return Attachment(cgroup, int.from_bytes(buffer[offset + 8 : offset + 12], sys.byteorder))


class AttachedStorage(OneByOne[K, V], Generic[K, V]):
    """A value for each cgroup that a program with this map is attached to.

    A key is a pair of a cgroup and an `AttachType`, or where the map's key is a u64 the cgroup
    alone, whose value all attachments to it share (Linux 5.9). A cgroup is the path of its folder,
    a descriptor (an object with ``fileno()``), or its id, a number, which is how keys read
    (`Attachment`). The kernel makes an entry when a program is attached and removes it with the
    cgroup: what user space can do is to read, to overwrite and to iterate.
    """

    __slots__ = ()

    def _make_cells(self) -> Cells:
        from skep.maps.cells import Cells

        cell = _AttachmentCell(f"map {self.name!r}, key", self.spec.key_size)
        return Cells(self.spec, key=cell)

    def _missing(self, key: Any) -> MissingKeyError:
        error = super()._missing(key)
        error.hint = (
            "an entry comes into being when a program with this map is attached to a cgroup"
        )
        return error

    def _store(self, key: Any, value: Any, flags: int) -> None:
        try:
            super()._store(key, value, flags)
        except KernelError as error:
            if error.errno == errno.ENOENT:
                raise self._missing(key) from error
            raise

    def replace(self, key: K, value: Any, *, lock: bool = False) -> None:
        """Overwrite the value of *key*: the same as ``m[key] = value`` here."""
        self._store(key, value, int(UpdateFlags.LOCK) if lock else 0)

    def _fixed(self, doing: str) -> UnsupportedError:
        message = f"{self._what()}: user space cannot {doing} entries"
        hint = "they come with the attachment of a program to a cgroup, and go with the cgroup"
        return UnsupportedError(message, hint=hint, feature=f"{doing} entries")

    def insert(self, *_: Any, **__: Any) -> NoReturn:
        """Raise `UnsupportedError`: attaching a program makes entries."""
        raise self._fixed("insert")

    def setdefault(self, *_: Any, **__: Any) -> NoReturn:
        """Raise `UnsupportedError`: attaching a program makes entries."""
        raise self._fixed("insert")

    def __delitem__(self, _: K) -> NoReturn:
        raise self._fixed("remove")

    def pop(self, *_: Any, **__: Any) -> NoReturn:
        """Raise `UnsupportedError`: entries go with their cgroups."""
        raise self._fixed("remove")

    def delete(self, *_: Any, **__: Any) -> NoReturn:
        """Raise `UnsupportedError`: entries go with their cgroups."""
        raise self._fixed("remove")

    def drain(self) -> NoReturn:
        """Raise `UnsupportedError`: entries go with their cgroups."""
        raise self._fixed("remove")

    def clear(self) -> None:
        """Set every value to zero."""
        from skep.kernel import bpf
        from skep.maps import batch

        nothing = bytes(self.cells.value.size)
        for key in batch.walk(self.geometry):
            bpf.map_update(self._fd, key, nothing)
