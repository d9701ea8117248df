"""Reading, for as long as it takes, a hash map with one entry for each process or the like.

Processes come and go: their entries would fill the map.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.maps.map import Map


class Groups:
    """Reads *map* whole; once it is more than half full, drops what did not change meanwhile.

    An entry that is dropped was reported by the read before with the same values. If it is
    counted in again between this read and its removal, that growth is lost; if after, it starts
    from nothing, which `Table.since` and `Histogram.since` understand.
    """

    __slots__ = ("_last", "map")

    def __init__(self, map: Map) -> None:
        self.map = map
        self._last: dict[Any, Any] = {}

    def read(self) -> dict[Any, Any]:
        """Return everything in the map, by key."""
        now = dict(self.map.items())
        if len(now) > self.map.spec.max_entries // 2:
            for key, value in now.items():
                if self._last.get(key) == value:
                    self.map.pop(key, None)
        self._last = now
        return now
