"""`LpmTrie`: LPM_TRIE maps, in which the longest prefix that covers a key is found.

Source: kernel/bpf/lpm_trie.c, Linux 6.18.
"""

from __future__ import annotations

import sys

from skep.errors import KernelError, RangeError, TypeMismatchError
from skep.generic import Generic, K, V
from skep.kernel import bpf
from skep.kernel.constants import MapFlags, MapType
from skep.maps.map import Map

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.maps.cells import Cells

_ABSENT: Any = object()
_TRIES = 4  # while the first prefix changes all the time; then the keys are walked
_LENGTH_8 = (8).to_bytes(4, sys.byteorder)


class LpmTrie(Map[K, V], Generic[K, V]):
    """A live trie of prefixes: routes, access lists, anything that goes by the first bits.

    Looking up asks "what applies to this?": ``m["10.1.2.3"]``, `get` and ``in`` find the longest
    stored prefix that covers the key, whose own prefix length is the longest considered (an
    address has all its bits). So ``m["10.1.0.0/16"]`` may well be the value of 10.0.0.0/8.
    Everything else is about one prefix and no other: storing, ``del``, `pop`, `insert`, `replace`,
    iteration, columns. `exact` looks up so, and `match` says which prefix applies.

    Keys whose data has 4 or 16 bytes are `ipaddress.IPv4Network` and `IPv6Network`; where a key is
    asked for, their text and addresses do as well. Other keys are the records that BTF declares,
    or ``(prefix length, bytes)`` (`skep.maps.types.prefixes`).
    """

    __slots__ = ()

    def _make_cells(self) -> Cells:
        from skep.maps.cells import Cells
        from skep.maps.types.prefixes import key_cell

        return Cells(self.spec, key=key_cell(self.spec))

    def exact(self, key: K, default: Any = _ABSENT) -> Any:
        """Return the value of the prefix *key* itself, not of a shorter one that covers it.

        *default*, or `MissingKeyError`, when it is not in the map. Up to four system calls; while
        others change the map the answer is that of one moment or another.
        """
        cells = self.cells
        packed = self._packed_key(key)
        value = bytearray(cells.value.size)
        try:
            found = self._is_stored(packed) and bpf.map_lookup(self._fd, packed, value)
        except KernelError as error:
            raise self._explained(error, key) from None
        if found:
            return cells.value.unpack(value)
        if default is _ABSENT:
            raise self._missing(key)
        return default

    def match(self, key: K) -> K | None:
        """Return the stored prefix that applies to *key*, None when there is none.

        The kernel tells only its value, so all shorter prefixes are tried: up to 33 for IPv4, 129
        for IPv6, three system calls each.
        """
        cells = self.cells
        packed = self._packed_key(key)
        try:
            if not bpf.map_lookup(self._fd, packed, bytearray(cells.value.size)):
                return None
            for candidate in shorter(packed):
                if self._is_stored(candidate):
                    found: K = cells.key.unpack(candidate)
                    return found
        except KernelError as error:
            raise self._explained(error, key) from None
        return None

    def _is_stored(self, packed: bytes) -> bool:
        """Whether this very prefix is stored.

        The kernel has no such question. But the walk of the keys goes on after a prefix that is
        stored, and begins anew at the first one after any other (``trie_get_next_key``): the first
        one follows none, so it is the sign of absence. Kernels without "bpf: Fix exact match
        conditions in trie_get_next_key()" (6.13, and stable ones of the end of 2024) take some
        prefixes of the same length for the same, so there the keys are walked.
        """
        size = len(packed)
        first, follower, again = bytearray(size), bytearray(size), bytearray(size)
        for _ in range(_TRIES if next_key_is_exact() else 0):
            if not bpf.map_next_key(self._fd, None, first):
                return False
            last = not bpf.map_next_key(self._fd, packed, follower)
            if not bpf.map_next_key(self._fd, None, again):
                return False
            if first == again:
                return last or follower != first
        from skep.maps import batch

        wanted = trimmed(packed)
        return any(trimmed(one) == wanted for one in batch.walk(self.geometry))

    def _packed_key(self, key: Any) -> bytes:
        try:
            return self.cells.key.pack(key)
        except (TypeMismatchError, RangeError) as error:
            raise self._misfit(error, "key") from None


_walks_from: list[bool] = []  # whether the walk of this kernel tells prefixes apart, once known


def next_key_is_exact() -> bool:
    """Whether BPF_MAP_GET_NEXT_KEY of this kernel takes only a stored prefix for a stored one.

    Tried out once, with a trie of two prefixes. Cached; several threads may try at a time.
    """
    if not _walks_from:
        with bpf.map_create(
            type=MapType.LPM_TRIE, key_size=5, value_size=1, max_entries=2,
            flags=int(MapFlags.NO_PREALLOC),
        ) as trie:  # fmt: skip
            low, high, absent = (_LENGTH_8 + bytes([first]) for first in (0x40, 0x80, 0xC0))
            for stored in (low, high):
                bpf.map_update(trie, stored, b"\0")
            following = bytearray(5)
            more = bpf.map_next_key(trie, absent, following)
        _walks_from.append(more and following == low)
    return _walks_from[0]


def trimmed(packed: bytes) -> bytes:
    """Return a packed key without the bits after its prefix."""
    length = int.from_bytes(packed[:4], sys.byteorder)
    data = int.from_bytes(packed[4:], "big")
    spare = max(0, 8 * (len(packed) - 4) - length)
    return packed[:4] + (data >> spare << spare).to_bytes(len(packed) - 4, "big")


def shorter(packed: bytes) -> list[bytes]:
    """Return a packed key and all shorter prefixes of it, the longest first."""
    length = int.from_bytes(packed[:4], sys.byteorder)
    return [trimmed(bits.to_bytes(4, sys.byteorder) + packed[4:]) for bits in range(length, -1, -1)]
