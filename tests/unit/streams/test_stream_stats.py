"""The ledger's arithmetic and its words."""

from __future__ import annotations

from skep.streams.stats import StreamStats


def test_the_sum_closes_or_says_by_how_much_not() -> None:
    lost = {"ring_full": 3, "decode_error": 0}
    stats = StreamStats(produced=10, delivered=5, lost=lost, pending=2)
    assert stats.unaccounted == 0
    assert StreamStats(produced=11, delivered=5, lost=lost, pending=2).unaccounted == 1
    assert repr(stats) == (
        "<StreamStats 10 produced = 5 delivered + 3 lost (ring_full 3) + 2 pending>"
    )
    assert stats.asdict() == {"produced": 10, "delivered": 5, "lost": lost, "pending": 2}
