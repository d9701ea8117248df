"""`StackTraces`: STACK_TRACE maps, call chains by the id that `bpf_get_stackid` gave.

Source: kernel/bpf/stackmap.c and include/uapi/linux/bpf.h ``struct bpf_stack_build_id``, Linux
6.18.
"""

from __future__ import annotations

import errno
import os
from _operator import index as to_index  # operator without its Python part
from struct import Struct

from skep.errors import KernelError, RangeError, UnsupportedError
from skep.generic import Generic, V
from skep.kernel.constants import MapFlags
from skep.maps.cells import Cells, Index
from skep.maps.map import Map

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    import numpy as np

_address = Struct("=Q")
_frame = Struct("=i20sQ")
_LAST_ERRNO = 4095

# enum in include/uapi/linux/bpf.h: what a frame of a map with build ids holds.
EMPTY = 0
VALID = 1
IP = 2


class StackTraces(Map[int, V], Generic[V]):
    """A live map of call chains.

    ``m[id]`` is the chain that a program stored under the id which `bpf_get_stackid` returned: a
    tuple of addresses, the innermost first, only as long as the chain. With the flag
    STACK_BUILD_ID it is a tuple of records with ``status``, ``build_id`` (20 bytes), ``offset``
    and ``ip``: where the status is `VALID` the frame is ``offset`` bytes into the file with this
    build id; where it is `IP`, ``ip`` is an address, as the file could not be told. A
    chain ends at `depth`, which is 127 at most unless the sysctl kernel.perf_event_max_stack is
    higher.

    Ids are hashes: as long as a chain is in the map, the same chain has the same id. Programs fill
    the map; user space can only read and remove. A negative id is an error number of
    `bpf_get_stackid`, and the `RangeError` says which. In columns the chains are the rows of an
    array of the shape (chains, depth), padded with zeros.
    """

    __slots__ = ()

    @property
    def by_build_id(self) -> bool:
        """Whether frames are build ids and offsets."""
        return bool(int(self.spec.flags) & MapFlags.STACK_BUILD_ID)

    @property
    def depth(self) -> int:
        """How many frames a chain may have."""
        return self.spec.value_size // (_frame.size if self.by_build_id else _address.size)

    def _make_cells(self) -> Cells:
        chain: Any = Frames(self.depth) if self.by_build_id else Addresses(self.depth)
        return Cells(self.spec, key=StackId(), value=chain)

    def __delitem__(self, key: int) -> None:
        try:
            super().__delitem__(key)
        except KernelError as error:
            if error.errno != errno.E2BIG:  # an id that the map is too small for
                raise
            raise self._missing(key) from None


class StackId(Index):
    """The cell of an id: an index, whose negative values are errors of `bpf_get_stackid`."""

    __slots__ = ()

    def pack(self, value: Any) -> bytes:
        """Return the id as 4 bytes; `RangeError` naming the error for one that is an error."""
        try:
            number = to_index(value)
        except TypeError:
            number = 0  # for the base to refuse
        if (1 << 32) - _LAST_ERRNO <= number < 1 << 32:
            number -= 1 << 32
        if -_LAST_ERRNO <= number < 0:
            code = errno.errorcode.get(-number, str(-number))
            raise RangeError(
                f"{value} is not the id of a stack: bpf_get_stackid failed with {code}"
                f" ({os.strerror(-number)})",
                hint=_MEANINGS.get(-number, ""),
                expected="an id, 0 or more",
                given=value,
            )
        return super().pack(value)


_MEANINGS = {
    errno.EFAULT: "there was no such stack: a kernel thread has no user stack, and a uprobe no"
    " kernel stack",
    errno.EEXIST: "another stack has the same hash: raise max_entries, or pass BPF_F_REUSE_STACKID",
    errno.ENOMEM: "the map was full: raise max_entries",
}


class Addresses:
    """The cell of a chain of addresses."""

    __slots__ = ("depth", "size")

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.size = depth * _address.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """An array of `depth` addresses."""
        import numpy as np

        return np.dtype((np.uint64, (self.depth,)))

    def pack(self, *_: Any) -> bytes:
        """Raise `UnsupportedError`."""
        raise _only_programs()

    def unpack(self, buffer: Any, offset: int = 0) -> tuple[int, ...]:
        """Return the addresses at *offset*, up to the last that is not 0."""
        chain = memoryview(buffer)[offset : offset + self.size].cast("B").cast("Q").tolist()
        while chain and not chain[-1]:
            chain.pop()
        return tuple(chain)


class Frames:
    """The cell of a chain of build ids and offsets."""

    __slots__ = ("_record", "depth", "size")

    def __init__(self, depth: int) -> None:
        from skep.btf.record import record_type

        self.depth = depth
        self.size = depth * _frame.size
        fields = ("status", "build_id", "offset", "ip")
        self._record: Any = record_type("struct bpf_stack_build_id", fields)

    @property
    def dtype(self) -> np.dtype[Any]:
        """An array of `depth` structures; `offset` and `ip` are the same bytes."""
        import numpy as np

        frame = {
            "names": ["status", "build_id", "offset", "ip"],
            "formats": [np.int32, (np.uint8, (20,)), np.uint64, np.uint64],
            "offsets": [0, 4, 24, 24],
            "itemsize": _frame.size,
        }
        return np.dtype((np.dtype(frame), (self.depth,)))  # type: ignore[call-overload]

    def pack(self, *_: Any) -> bytes:
        """Raise `UnsupportedError`."""
        raise _only_programs()

    def unpack(self, buffer: Any, offset: int = 0) -> tuple[Any, ...]:
        """Return the frames at *offset*, up to the first that is `EMPTY`."""
        chain = []
        for at in range(offset, offset + self.size, _frame.size):
            status, build_id, place = _frame.unpack_from(buffer, at)
            if status == EMPTY:
                break
            chain.append(self._record((status, build_id, place, place)))
        return tuple(chain)


def _only_programs() -> UnsupportedError:
    message = "stack traces are stored by programs only, with bpf_get_stackid"
    return UnsupportedError(message, feature="storing a stack trace")
