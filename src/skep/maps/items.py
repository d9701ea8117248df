"""`Items`: the entries of a map one by one, as a dict has them."""

from __future__ import annotations

from _operator import index as to_index  # operator without its Python part
from errno import EEXIST

from skep.errors import KernelError, MissingKeyError, RangeError, SkepError, TypeMismatchError
from skep.generic import Generic, K, V
from skep.kernel import bpf
from skep.kernel.bpf import map_get
from skep.maps import kinds
from skep.maps.live import LiveMap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar, overload

    D = TypeVar("D")

_ABSENT: Any = object()
_MISFIT = (TypeMismatchError, RangeError)

# Plain ints: attribute access on an IntFlag costs 30 ns. They are `UpdateFlags`.
_NOEXIST = 1
_EXIST = 2
_LOCK = 4


class Items(LiveMap, Generic[K, V]):
    """The part of `Map` that is about one entry at a time.

    Every call is one system call, atomic by itself, and may be made by many threads at once. What
    the kernel refuses is a `MapError` that says why: map full, frozen, opened read-only, no lock.
    """

    __slots__ = ()

    # Reading

    def __getitem__(self, key: K) -> V:
        pack, unpack, size = self.quick
        try:
            value = map_get(self._fd, pack(key), size)
        except SkepError as error:
            raise self._explained(error, key) from None
        if value is not None:
            return unpack(value)  # type: ignore[no-any-return]
        raise self._missing(key)

    if TYPE_CHECKING:

        @overload
        def get(self, key: K, default: None = None, *, lock: bool = False) -> V | None: ...
        @overload
        def get(self, key: K, default: D, *, lock: bool = False) -> V | D: ...

    def get(self, key: K, default: Any = None, *, lock: bool = False) -> Any:
        """Return the value of *key*, or *default* when there is none.

        With *lock* the value is copied while its ``struct bpf_spin_lock`` is held (BPF_F_LOCK), so
        that members which a program changes together, under that lock, belong together.
        `MapError` when the value has no lock.
        """
        pack, unpack, size = self.quick
        flags = _LOCK if lock else 0
        try:
            value = map_get(self._fd, pack(key), size, flags)
        except SkepError as error:
            raise self._explained(error, key, flags=flags) from None
        return default if value is None else unpack(value)

    def __contains__(self, key: object) -> bool:
        pack, _, size = self.quick
        try:
            return map_get(self._fd, pack(key), size) is not None
        except SkepError as error:
            raise self._explained(error, key) from None

    # Writing

    def __setitem__(self, key: K, value: Any) -> None:
        self._store(key, value, 0)

    def insert(self, key: K, value: Any, *, lock: bool = False) -> None:
        """Store *value* under a new *key*; `KeyPresentError` (a KeyError) when it is there.

        Atomic: of several that insert one key, in this process, others and programs, one succeeds.
        *lock* as for `get`: the value is written while its lock is held.
        """
        self._store(key, value, _NOEXIST | (_LOCK if lock else 0))

    def replace(self, key: K, value: Any, *, lock: bool = False) -> None:
        """Store *value* under a *key* that is there; `MissingKeyError` when it is not.

        Atomic. *lock* as for `get`: the value is written while its lock is held.
        """
        self._store(key, value, _EXIST | (_LOCK if lock else 0))

    def store(self, key: K, value: Any, *, flags: int = 0, lock: bool = False) -> None:
        """Store *value* under *key* as ``m[key] = value`` does, with *flags*, `UpdateFlags`.

        *lock* as for `get`: the value is written while its lock is held. Without it, a value with
        a lock is replaced as a whole, and its lock with it by a fresh one.
        """
        self._store(key, value, self._flags(flags, lock=lock))

    def setdefault(self, key: K, default: Any) -> V:
        """Return the value of *key*; when there is none, store *default* first.

        Never overwrites: when another is faster to insert the key, its value is returned.
        """
        while True:  # again only when the key was removed by others between two calls
            found = self.get(key, _ABSENT)
            if found is not _ABSENT:
                return found  # type: ignore[no-any-return]
            packed = self._packed(default)
            try:
                bpf.map_update(self._fd, self.quick[0](key), packed, _NOEXIST)
            except SkepError as error:
                if getattr(error, "errno", 0) == EEXIST:
                    continue
                raise self._explained(error, key, flags=_NOEXIST) from None
            return self.quick[1](packed)  # type: ignore[no-any-return]

    # Removing

    def __delitem__(self, key: K) -> None:
        try:
            found = bpf.map_delete(self._fd, self.quick[0](key))
        except SkepError as error:
            raise self._explained(error, key) from None
        if not found:
            raise self._missing(key)

    if TYPE_CHECKING:

        @overload
        def pop(self, key: K) -> V: ...
        @overload
        def pop(self, key: K, default: D) -> V | D: ...

    def pop(self, key: K, default: Any = _ABSENT) -> Any:
        """Remove *key* and return its value; *default*, or `MissingKeyError`, when absent.

        One atomic call where the kernel has it (hash maps since Linux 5.14), so that no update
        falls between. Elsewhere two calls: of several threads that pop a key one gets it, but an
        update between the two is lost.
        """
        pack, unpack, size = self.quick
        value = bytearray(size)
        try:
            packed = pack(key)
            try:
                found = bpf.map_lookup_and_delete(self._fd, packed, value)
            except KernelError as error:
                from skep.maps import batch

                if error.errno not in batch.UNSUPPORTED:
                    raise
                found = bpf.map_lookup(self._fd, packed, value) and bpf.map_delete(self._fd, packed)
        except SkepError as error:
            raise self._explained(error, key) from None
        if found:
            return unpack(value)
        if default is _ABSENT:
            raise self._missing(key)
        return default

    # For the classes of other maps, too

    def _store(self, key: Any, value: Any, flags: int) -> None:
        packed = self._packed(value)
        try:
            bpf.map_update(self._fd, self.quick[0](key), packed, flags)
        except SkepError as error:
            raise self._explained(error, key, flags=flags) from None

    def _flags(self, flags: Any, *, lock: bool) -> int:
        """Return *flags* as 64 bits, with LOCK added; `RangeError` when they are none."""
        try:
            number = int(to_index(flags))
        except TypeError:
            number = -1
        if not 0 <= number < 1 << 64:
            raise RangeError(
                f"map {self.name!r}: {flags!r:.60} are not flags",
                hint="they are UpdateFlags: ANY, NOEXIST, EXIST, LOCK",
                expected="0 to 2**64 - 1",
                given=flags,
                map=self.name,
            )
        return number | (_LOCK if lock else 0)

    def _packed(self, value: Any) -> bytes:
        """Return *value* as bytes; an error names the map."""
        try:
            return self.cells.value.pack(value)
        except _MISFIT as error:
            raise self._misfit(error, "value") from None

    def _explained(self, error: SkepError, key: Any, *, flags: int = 0) -> SkepError:
        """Return what to raise for *error* of a call about *key*: why, and what to do."""
        if isinstance(error, _MISFIT):
            return self._misfit(error, "key")
        if not isinstance(error, KernelError):
            return error
        from skep.maps.refusal import refused

        return refused(self, error, key, flags=flags)

    def _missing(self, key: Any) -> MissingKeyError:
        message = f"map {self.name!r} has no key {key!r}"
        if self.spec.type in kinds.ARRAYS:
            entries = kinds.entries(self.spec.max_entries)
            message = f"map {self.name!r} has {entries}: no index {key!r}"
        from skep.maps.failure import about_padding

        hint = about_padding(self.name, self.spec.type, self.cells.key)
        return MissingKeyError(message, hint=hint, key=key, map=self.name)

    def _misfit(self, error: TypeMismatchError | RangeError, role: str) -> SkepError:
        """Name the map, and the *role* ("key" or "value") of what does not fit."""
        from skep.maps.failure import misfit

        return misfit(error, self.spec, role)
