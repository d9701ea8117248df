"""`BloomFilter`: a set that may say "perhaps" and never wrongly says no (Linux 5.16).

Source: kernel/bpf/bloom_filter.c, Linux 6.18.
"""

from __future__ import annotations

from skep.errors import KernelError
from skep.generic import Generic, V
from skep.kernel import bpf
from skep.maps.types.keyless import Keyless
from skep.maps.types.pairs import each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class BloomFilter(Keyless[V], Generic[V]):
    """A live bloom filter: values go in, and ``value in m`` tells whether one may be there.

    False is certain, True is not. `max_entries` is how many values it is made for: more may be
    added, and wrong Trues become more frequent. Nothing can be taken out, listed or counted.
    Programs do the same with `bpf_map_push_elem` and `bpf_map_peek_elem`. The kernel hashes all
    bytes of a value, so a program must have zeroed the padding of a struct, as skep does.
    Any number of threads may use one.
    """

    __slots__ = ()

    INSTEAD = "use add(value) and `value in map`"

    @property
    def hashes(self) -> int:
        """How many hash functions it has: the lowest 4 bits of `map_extra`, 5 when they are 0."""
        return self.spec.extra & 0xF or 5

    def add(self, value: V) -> None:
        """Put *value* in."""
        try:
            bpf.map_update(self._fd, b"", self._packed(value))
        except KernelError as error:
            raise self._explained(error, None) from None

    def __contains__(self, value: object) -> bool:
        """Tell whether *value* may have been put in; False is certain."""
        try:
            return bpf.map_lookup(self._fd, b"", bytearray(self._packed(value)))
        except KernelError as error:
            raise self._explained(error, None) from None

    def update(self, values: Iterable[V]) -> None:  # type: ignore[override]
        """Put each of *values* in, as `set.update` does; one system call each."""
        for value in each(self.name, "values", values):
            self.add(value)
