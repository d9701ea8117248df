"""`Queue`: QUEUE and STACK maps, from which values are taken in an order.

Source: kernel/bpf/queue_stack_maps.c and the element calls of kernel/bpf/syscall.c, Linux 6.18.
"""

from __future__ import annotations

import errno

from skep.errors import EmptyError, KernelError, MapFullError
from skep.generic import Generic, V
from skep.kernel import bpf
from skep.maps import kinds
from skep.maps.types.keyless import Keyless
from skep.maps.types.pairs import each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    import numpy as np

    Column = np.ndarray[Any, Any]

_ABSENT: Any = object()
_EXIST = 2  # UpdateFlags.EXIST: not only into free room


class Queue(Keyless[V], Generic[V]):
    """A live queue (first in, first out) or stack (last in, first out).

    A value can be put in, looked at when its turn has come, and taken out. The kernel has no way to
    look at the others, to count them, or to handle several in one call, so nothing here does:
    `drain` takes them out one by one. Programs do the same with `bpf_map_push_elem`,
    `bpf_map_pop_elem` and `bpf_map_peek_elem`. Every call is atomic; any number of threads and
    programs may push and pop at the same time.
    """

    __slots__ = ()

    INSTEAD = "use push(), peek(), pop() or drain()"

    def push(self, value: V, *, drop_oldest: bool = False) -> None:
        """Put *value* in. `MapFullError` when there is no room.

        With *drop_oldest* the value that has been in longest makes room (BPF_EXIST), on a stack
        too.
        """
        self._push(self._packed(value), drop_oldest)

    def extend(self, values: Iterable[V], *, drop_oldest: bool = False) -> None:
        """Push each of *values*, in their order; one system call each.

        `MapFullError` as `push`; its `done` is how many went in before.
        """
        done = 0
        try:
            for value in each(self.name, "values", values):
                self._push(self._packed(value), drop_oldest)
                done += 1
        except MapFullError as error:
            error.done = error.evidence["done"] = done
            raise

    def peek(self, default: Any = _ABSENT) -> Any:
        """Return the value whose turn is next and leave it in.

        *default*, or `EmptyError`, when there is none.
        """
        cell = self._value
        buffer = bytearray(cell.size)
        try:
            found = bpf.map_lookup(self._fd, b"", buffer)
        except KernelError as error:
            raise self._explained(error, None) from None
        if found:
            return cell.unpack(buffer)
        return self._none(default)

    def pop(self, default: Any = _ABSENT) -> Any:  # type: ignore[override]
        """Take the next value out and return it; *default*, or `EmptyError`, when there is none."""
        cell = self._value
        buffer = bytearray(cell.size)
        if self._take(buffer):
            return cell.unpack(buffer)
        return self._none(default)

    def pops(self) -> Iterator[V]:
        """Iterate over the values and take each out, until there is none.

        Ends after `max_entries` values even when programs push faster.
        """
        cell = self._value
        for buffer in self._taken():
            yield cell.unpack(buffer)

    def drain(self) -> Column:  # type: ignore[override]
        """Take all values out, in their order, and return them as one NumPy column.

        At most `max_entries` of them, so that it ends even when programs push faster.
        """
        cells = self.cells
        _ = cells.value_dtype  # before anything is taken out: what is no column would be gone
        packed = b"".join(self._taken())
        rows = len(packed) // cells.value.size
        return cells.value_column(bytearray(packed), rows)

    def clear(self) -> None:
        """Take out what is there now and forget it."""
        for _ in self._taken():
            pass

    def _taken(self) -> Iterator[bytes]:
        buffer = bytearray(self._value.size)
        for _ in range(self.spec.max_entries):
            if not self._take(buffer):
                return
            yield bytes(buffer)

    def _push(self, packed: bytes, drop_oldest: bool) -> None:
        flags = _EXIST if drop_oldest else 0
        try:
            bpf.map_update(self._fd, b"", packed, flags)
        except KernelError as error:
            if error.errno != errno.E2BIG:
                raise self._explained(error, None, flags=flags) from None
            entries = self.spec.max_entries
            raise MapFullError(
                f"{self._what()} is full: it holds {kinds.entries(entries)} already",
                errno=errno.E2BIG,
                hint="pop() some, raise max_entries, or push(value, drop_oldest=True)",
                call=error.call,
                map=self.name,
                map_type=kinds.type_name(self.spec.type),
                reason="full",
                entries=entries,
            ) from None

    def _take(self, buffer: bytearray) -> bool:
        try:
            return bpf.map_lookup_and_delete(self._fd, b"", buffer)
        except KernelError as error:
            raise self._explained(error, None) from None

    def _none(self, default: Any) -> Any:
        if default is _ABSENT:
            raise EmptyError(f"{self._what()} is empty", map=self.name)
        return default
