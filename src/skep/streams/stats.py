"""`StreamStats`: the ledger of one stream at one moment."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class StreamStats:
    """What became of the records of a stream: produced = delivered + lost + pending.

    *produced* counts the records that the BPF side wanted to send, where it keeps a ledger (the
    output macros of skep's C headers); else those known of here. *lost* counts by reason:
    ``"ring_full"`` (only with a ledger: absent otherwise, as nobody counted), ``"decode_error"``
    (shorter than their type). *pending* are in the ring or read ahead, *discarded* were taken
    back by their producer (not part of the sum). The numbers are read one after the other, so the
    sum closes exactly only while nothing is produced. Do not change one.
    """

    __slots__ = ("delivered", "discarded", "lost", "pending", "produced")

    def __init__(
        self,
        *,
        produced: int,
        delivered: int,
        lost: dict[str, int],
        pending: int,
        discarded: int = 0,
    ) -> None:
        self.produced = produced
        self.delivered = delivered
        self.lost = lost
        self.pending = pending
        self.discarded = discarded

    @property
    def unaccounted(self) -> int:
        """Produced less delivered, lost and pending: 0 unless something else went wrong.

        Positive when another reader took records, or a producer discarded a record without
        telling the ledger.
        """
        return self.produced - self.delivered - sum(self.lost.values()) - self.pending

    def asdict(self) -> dict[str, Any]:
        """Return the numbers for JSON."""
        return {name: getattr(self, name) for name in ("produced", "delivered", "lost", "pending")}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StreamStats):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment] # mutable dict inside

    def __repr__(self) -> str:
        reasons = ", ".join(f"{reason} {count}" for reason, count in self.lost.items() if count)
        lost = f"{sum(self.lost.values())} lost" + (f" ({reasons})" if reasons else "")
        parts = f"{self.delivered} delivered + {lost} + {self.pending} pending"
        return f"<StreamStats {self.produced} produced = {parts}>"
