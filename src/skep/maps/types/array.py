"""`ArrayMap`: ARRAY and PERCPU_ARRAY, whose entries are all there from the start."""

from __future__ import annotations

from skep.generic import Generic, V
from skep.maps.map import Map

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    import numpy as np


class ArrayMap(Map[int, V], Generic[V]):
    """A map whose keys are the indices below `max_entries`; nothing can be added or removed.

    An ARRAY made with BPF_F_MMAPABLE (the sections of global variables are) is memory that user
    space shares with the programs: `view` is that memory as a NumPy array, `load_u64` and
    `store_u64` are single accesses to it, and `read` copies it without a system call.
    """

    __slots__ = ()

    def __len__(self) -> int:
        return self.spec.max_entries

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.spec.max_entries))

    def count(self) -> int:
        """Return the number of entries: always `max_entries`."""
        return self.spec.max_entries

    def clear(self) -> None:
        """Set every value to zero."""
        from skep.maps.columns import zero

        zero(self)

    # Shared memory

    def view(self) -> np.ndarray[Any, Any]:
        """Return the values as a live NumPy array: what programs write is seen, and the reverse.

        One element an entry, with the dtype that BTF gives the value; read-only when the map is
        frozen or made with BPF_F_RDONLY. No copy and no system call, here or later. Aligned
        integers of up to 8 bytes are read and written whole; a struct is not, and neither is
        ``view[i] += 1`` one step: a program may count in between.

        The array stays valid when the map is closed: the memory goes with the last view of it.
        `UnsupportedError` where the kernel does not share the map's memory, saying why.
        """
        from skep.maps.types.shared import live_view

        return live_view(self)

    def load_u64(self, index: int, offset: int = 0) -> int:
        """Return the 8 bytes at *offset* of the value of *index*, read in one access.

        A load-acquire: what the program wrote before it (in release order) is seen by what is
        read after. *offset* is a multiple of 8. `MissingKeyError` past the end, `RangeError` for
        an offset outside the value, `UnsupportedError` as for `view`.
        """
        from skep.maps.types import shared

        return shared.load_u64(self, index, offset)

    def store_u64(self, index: int, value: int, offset: int = 0) -> None:
        """Write 8 bytes at *offset* of the value of *index* in one access, a store-release.

        The bytes are *value*, 0 to 2**64 - 1, in the machine's order. Errors as for `load_u64`,
        and `UnsupportedError` when the map is read-only.
        """
        from skep.maps.types import shared

        shared.store_u64(self, index, value, offset)
