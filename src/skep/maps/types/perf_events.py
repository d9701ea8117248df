"""`PerfEventArray`: PERF_EVENT_ARRAY maps, through which programs write to perf buffers.

Source: kernel/bpf/arraymap.c ``perf_event_fd_array_*``, Linux 6.18.
"""

from __future__ import annotations

from skep.maps.types.handles import HandleMap
from skep.maps.types.pairs import each
from skep.maps.types.write_only import WriteOnly

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any


class PerfEventArray(WriteOnly, HandleMap[int, int]):
    """A live array of perf events, one for each CPU as a rule.

    ``m[cpu] = event`` puts an event in, an `FD` of `skep.kernel.perf.perf_event_open` or anything
    else with ``fileno()``; ``del m[cpu]`` takes it out (`MissingKeyError` when there is none).
    Programs then write records to it with `bpf_perf_event_output` (a software event of the kind
    BPF_OUTPUT), or read a counter with `bpf_perf_event_read_value`. The kernel tells nobody what
    is in the array: looking up and walking are an `UnsupportedError`.

    An event that was put in leaves the array when the descriptor *of the map* that put it in is
    closed, unless the map has the flag PRESERVE_ELEMS (Linux 5.11). `max_entries` 0 means one for
    each possible CPU.
    """

    __slots__ = ()

    WHAT = "a perf event"
    INSTEAD = "whoever puts the events in has to remember them"

    def fill(self, events: Mapping[int, Any] | Iterable[Any]) -> None:
        """Put in *events*: a mapping from CPU to event, or one event for each CPU from 0 on.

        `MissingKeyError` for a CPU past the end; those before it are in by then.
        """
        pairs: Iterable[tuple[Any, Any]]
        if hasattr(events, "items"):
            pairs = events.items()
        else:
            pairs = enumerate(each(self.name, "values", events))
        for cpu, event in pairs:
            self[cpu] = event
