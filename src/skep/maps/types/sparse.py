"""`SparseMap`: maps of devices, CPUs and sockets, whose slots are filled or empty.

The kernel walks the keys of an array whether a slot holds something or not, and lets an empty slot
be deleted. Here an empty slot is no entry: it is passed over, and is a `MissingKeyError`.
"""

from __future__ import annotations

from skep.errors import KernelError, SkepError, UnsupportedError
from skep.generic import Generic, K, V
from skep.maps import kinds
from skep.maps.types.pairs import OneByOne

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_ABSENT: Any = object()


class SparseMap(OneByOne[K, V], Generic[K, V]):
    """Base of the maps whose slots hold things of the kernel. None of them has batches."""

    __slots__ = ()

    EMPTY = 0
    """The errno with which the kernel refuses to empty an empty slot; 0 where it does not."""

    def _refused(self, key: Any, value: Any, code: int) -> SkepError | None:
        """Return why the kernel refused *value* with errno *code*; None for no special reason."""
        raise NotImplementedError

    def _store(self, key: Any, value: Any, flags: int) -> None:
        try:
            super()._store(key, value, flags)
        except (KernelError, UnsupportedError) as error:
            code = getattr(error, "errno", 0)
            raise self._refused(key, value, code) or error from None

    def setdefault(self, key: K, default: Any) -> V:
        """Return what is under *key*; when it is empty, store *default* first. Three calls."""
        if key not in self:
            self._store(key, default, 0)
        return self[key]

    def __iter__(self) -> Iterator[K]:
        return (key for key, _ in self._filled())

    def items(self) -> Iterator[tuple[K, V]]:
        """Iterate over (key, value) of what is filled, two system calls for each."""
        return self._filled()

    def _filled(self) -> Iterator[tuple[K, V]]:
        self._check_readable()
        return self._walk()

    def _walk(self) -> Iterator[tuple[K, V]]:
        from skep.maps import batch

        unpack = self.cells.key.unpack
        for packed in batch.walk(self.geometry):
            key = unpack(packed)
            value = self.get(key, _ABSENT)
            if value is not _ABSENT:
                yield key, value

    def values(self) -> Iterator[V]:
        """Iterate over the values of what is filled."""
        return (value for _, value in self._filled())

    def count(self) -> int:
        """Return how many entries are filled."""
        return sum(1 for _ in self._filled())

    def clear(self) -> None:
        """Remove every entry."""
        from skep.kernel import bpf
        from skep.maps import batch

        for packed in batch.walk(self.geometry):
            try:
                bpf.map_delete(self._fd, packed)
            except KernelError as error:
                if not self._empty(error):
                    raise

    def drain(self) -> Any:
        """Remove all entries and return them as `read` does.

        One call for each look and each removal: what is stored in between goes unseen.
        """
        if self.spec.type not in kinds.INDEXED:
            return super().drain()
        found = self.read()
        self.delete(found[0])
        return found

    def _empty(self, error: KernelError) -> bool:
        """Whether an *error* of a removal only says that there was nothing."""
        return error.errno == self.EMPTY

    def _check_readable(self) -> None:
        """Raise `UnsupportedError` when user space cannot look into this map."""

    def __delitem__(self, key: K) -> None:
        self._check_present(key)
        super().__delitem__(key)

    def _check_present(self, key: K) -> None:
        """Raise `MissingKeyError` for an empty slot, where the kernel would not say so."""
        if key not in self:
            raise self._missing(key)

    def pop(self, key: K, default: Any = _ABSENT) -> Any:
        """Remove *key* and return its value; *default*, or `MissingKeyError`, when absent.

        Two calls: what others store in between is removed too.
        """
        value = self.get(key, _ABSENT)
        if value is _ABSENT:
            if default is _ABSENT:
                raise self._missing(key)
            return default
        super().__delitem__(key)
        return value


class SlotMap(SparseMap[K, V], Generic[K, V]):
    """Base of the arrays for which the kernel takes "create only" and "exists" to be about slots.

    Every slot exists, says ``__dev_map_update_elem``, so BPF_NOEXIST always fails, and BPF_EXIST
    never does (the hash of devices does not look at it). `insert` is refused, `replace` looks
    first.
    """

    __slots__ = ()

    def insert(self, *_: Any, **__: Any) -> None:
        """Raise `UnsupportedError`: the kernel cannot store into empty slots only."""
        message = f"{self._what()}: the kernel cannot store into a slot only if it is empty"
        hint = "look first (key in map), and write m[key] = value"
        raise UnsupportedError(message, hint=hint, feature="create-only update")

    def replace(self, key: K, value: Any, *, lock: bool = False) -> None:
        """Store into a slot that is filled; `MissingKeyError` when it is not. Two calls."""
        self._check_present(key)
        self.store(key, value, lock=lock)
