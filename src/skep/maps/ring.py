"""What opens a ring of this process: its one reader, or its one producer."""

from __future__ import annotations

from skep.errors import SkepError
from skep.maps.live import lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from skep.maps.live import LiveMap
    from skep.maps.spec import MapSpec
    from skep.owner import Closing
    from skep.streams.decode import RecordDecoder
    from skep.streams.ringbuf import RingBuffer

    S = TypeVar("S", bound="Closing")


def reader(map: LiveMap, record: str, options: dict[str, Any]) -> RingBuffer:
    """Open the reader of *map*; see `Map.stream`."""
    from skep.streams.ringbuf import RingBuffer

    spec = map.spec
    if "decoder" not in options:
        options["decoder"] = decoder(spec, record)
    options.setdefault("ledger", map._ledger)  # noqa: SLF001 - of this room
    return sole(
        map, lambda: RingBuffer(map.fd, spec.max_entries, name=spec.name, **options), "reader"
    )


def decoder(spec: MapSpec, record: str) -> RecordDecoder:
    """Return the type of the records: the struct called *record*, or the one that *spec* has."""
    from skep.btf.types import Kind
    from skep.streams.decode import RecordDecoder

    type_id = spec.value_type_id
    if record and spec.btf is not None:
        type_id = spec.btf.find_type(record, Kind.STRUCT).id
    return RecordDecoder(spec.btf, type_id, spec.name)


def sole(map: LiveMap, opening: Callable[[], S], what: str) -> S:
    """Return what *opening* opens, unless one of its kind, *what*, is open (`SkepError`).

    Of several threads at once one opens it, and the others are told. *map* owns it.
    """
    with lock:
        map.fileno()
        streams = map._streams = [one for one in map._streams if not one.closed]  # noqa: SLF001
        if streams:
            message = f"{map._what()} has an open {what} already, and a ring takes one"  # noqa: SLF001
            raise SkepError(message, hint="use that one again, or close it first")
        opened = opening()
        streams.append(opened)
        if map.closed:  # by a signal handler, meanwhile
            opened.close()
            map.fileno()
    return opened
