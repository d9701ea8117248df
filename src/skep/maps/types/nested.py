"""`MapOfMaps`: ARRAY_OF_MAPS and HASH_OF_MAPS, whose values are maps.

Source: kernel/bpf/map_in_map.c, arraymap.c and hashtab.c, Linux 6.18.
"""

from __future__ import annotations

import errno

from skep.errors import KernelError, RangeError, SkepError, TypeMismatchError
from skep.generic import Generic, K
from skep.kernel import bpf
from skep.maps import kinds
from skep.maps.map import Map
from skep.maps.types.handles import HandleMap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from typing_extensions import TypeVar

    from skep.kernel.fd import FD

    M = TypeVar("M", bound=Map, default=Any)
else:
    M = None

_ABSENT: Any = object()
_TRIES = 16  # lookups of a key whose map is replaced again and again


class MapOfMaps(HandleMap[K, M], Generic[K, M]):
    """A live array or hash of maps.

    ``m[key]`` opens the inner map: a `Map` of the right class with a descriptor of its own, which
    the caller closes::

        with outer[7] as inner:
            inner[1] += 1

    Opening goes by id and so needs CAP_SYS_ADMIN; `id_of` and `ids` read the ids alone. A key
    without a map is a `MissingKeyError`. `values` and `items` open one inner map after the other
    and close each when the next is asked for.

    ``m[key] = inner`` stores a map (or its descriptor) of the shape that the outer was made with:
    type, key and value size, flags, and for an ARRAY `max_entries` too, unless it has INNER_MAP
    (Linux 5.10). A map of another shape is a `TypeMismatchError` that lists every difference.
    Storing and removing return only when no program works with the former inner map any more
    (``maybe_wait_bpf_programs``), so what is read from it then is final; that takes milliseconds.

    The inner map is typed by what the outer declares, or else by its own BTF.
    """

    __slots__ = ()

    WHAT = "a map"

    def __getitem__(self, key: K) -> M:
        found = self._open(key)
        if found is None:
            raise self._missing(key)
        return found

    def get(self, key: K, default: Any = None, **_: Any) -> Any:
        """Open the inner map of *key*, or return *default* when there is none."""
        found = self._open(key)
        return default if found is None else found

    def pop(self, key: K, default: Any = _ABSENT) -> Any:
        """Open the inner map of *key* and remove it; *default*, or `MissingKeyError`, if none."""
        found = self._open(key)
        if found is None:
            if default is _ABSENT:
                raise self._missing(key)
            return default
        try:
            del self[key]
        except BaseException:
            found.close()
            raise
        return found

    def id_of(self, key: K) -> int:
        """Return the id of the inner map of *key*; `MissingKeyError` when there is none."""
        id: int = super().__getitem__(key)  # type: ignore[assignment]
        return id

    def ids(self) -> dict[K, int]:
        """Return the ids of all inner maps by key."""
        from skep.maps import batch

        key, value = self.cells.key, self.cells.value
        found: dict[K, int] = {}
        for rows, keys, values in self._walked(batch.chunks(self.geometry)):
            for row in range(rows):
                found[key.unpack(keys, row * key.size)] = value.unpack(values, row * value.size)
        return found

    def __iter__(self) -> Iterator[K]:
        return iter(self.ids())

    def count(self) -> int:
        """Return how many keys have a map."""
        return len(self.ids())

    def items(self) -> Iterator[tuple[K, M]]:
        """Iterate over (key, inner map); each is closed when the next is asked for."""
        for key in self.ids():
            found = self._open(key)
            if found is not None:  # else removed meanwhile
                with found:
                    yield key, found

    def values(self) -> Iterator[M]:
        """Iterate over the inner maps; each is closed when the next is asked for."""
        for pair in self.items():
            yield pair[1]

    def _open(self, key: K) -> M | None:
        cells = self.cells
        value = bytearray(4)
        try:
            packed = cells.key.pack(key)
        except (TypeMismatchError, RangeError) as error:
            raise self._misfit(error, "key") from None
        for _ in range(_TRIES):
            try:
                if not bpf.map_lookup(self._fd, packed, value):
                    return None
            except KernelError as error:
                raise self._explained(error, key) from None
            try:
                fd = bpf.fd_by_id("map", cells.value.unpack(value))
            except KernelError as error:
                if error.errno != errno.ENOENT:
                    raise
                continue  # replaced between the two calls, and gone
            return self._typed(fd)
        return None

    def _typed(self, fd: FD) -> M:
        """Make the live map of *fd*, typed by the inner shape that this map declares."""
        inner = self.spec.inner
        if inner is None or inner.btf is None:
            return Map.from_fd(fd)  # type: ignore[return-value]  # of what class, the kernel says
        try:
            info = bpf.map_info(fd)
            spec = inner.copy(
                name=info.name,
                max_entries=info.max_entries,
                flags=info.flags,
                extra=info.extra,
                contents=None,
                pinning="none",
            )
            return kinds.map_class(info.type)(fd, spec)  # type: ignore[return-value]
        except BaseException:
            fd.close()
            raise

    def _refusal(self, error: KernelError, value: Any) -> SkepError | None:
        if error.errno == errno.EINVAL:
            from skep.maps.types.inner import refused

            number = value.fileno() if hasattr(value, "fileno") else value
            found = refused(self, self._what(), number, value)
            if found is not None:
                return found
        return super()._refusal(error, value)
