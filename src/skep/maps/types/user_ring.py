"""`UserRingBuffer`: a ring buffer that user space fills and a BPF program drains (Linux 6.1)."""

from __future__ import annotations

from skep.errors import ClosedError, UnsupportedError
from skep.generic import Generic, V
from skep.maps.types.keyless import Keyless, NoKey

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from skep.maps.cells import Cells
    from skep.streams.user_ringbuf import Producer


class UserRingBuffer(Keyless[V], Generic[V]):
    """A user ring buffer: `producer` writes what ``bpf_user_ringbuf_drain`` reads.

    It has no keys, and user space reads nothing from it.
    """

    __slots__ = ()

    INSTEAD = "write to it with producer(); programs read it"

    def _make_cells(self) -> Cells:
        from skep.btf.codec import raw_codec
        from skep.maps.cells import Cells

        # The declared type is that of the records, which are no values.
        return Cells(self.spec, key=NoKey(self._what(), self.INSTEAD), value=raw_codec(0))

    def producer(self, *, record: str = "") -> Producer:
        """Open the writer of this ring; see `skep.streams.user_ringbuf.Producer`.

        The records have the type that the map declares, or the struct called *record* in the
        object's BTF (`NotFoundError` when there is none); without either they are `bytes`. The
        map owns the producer and closes it with itself; closing it earlier is fine. A ring has one
        producer at a time (`SkepError`).
        """
        if self.closed:
            raise ClosedError(f"{self._what()} is closed")
        from skep.maps import ring
        from skep.streams.user_ringbuf import Producer

        owner, spec = self._parent or self, self.spec
        decoder = ring.decoder(spec, record)
        return ring.sole(
            owner,
            lambda: Producer(owner.fd, spec.max_entries, decoder=decoder, name=spec.name),
            "producer",
        )

    def stream(self, **_: Any) -> NoReturn:
        """Raise `UnsupportedError`: this ring is read by programs."""
        message = f"{self._what()} is written by user space and read by programs"
        raise UnsupportedError(message, hint="write to it with producer()", feature="stream")
