"""The ledger beside a ring buffer: the type of its records, and the count of those it lost.

``SKEP_RINGBUF(events, struct event, bytes)`` declares two maps, `events` and `events_ledger`. The
ledger's value says two things (skep/output.h)::

    struct { __u64 produced; __u64 lost; struct event *record[0]; }

The record's type is told here and not by ``__type(value, ...)`` on the ring buffer, because libbpf
makes a value size of that, which the kernel refuses: objects made for skep load anywhere.
"""

from __future__ import annotations

from skep.btf import types as t
from skep.kernel.constants import MapType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from skep.maps.map import Map
    from skep.maps.spec import MapSpec

SUFFIX = "_ledger"


def declare_records(maps: Mapping[str, MapSpec]) -> None:
    """Give each ring buffer that has a ledger and no record type the type named there."""
    for name, ledger in maps.items():
        ring = maps.get(name.removesuffix(SUFFIX)) if name.endswith(SUFFIX) else None
        if ring is None or ring.type != MapType.RINGBUF or ring.value_type_id:
            continue
        if ledger.btf is not None and ledger.value_type_id:
            ring.value_type_id = _record_type(ledger)


def _record_type(ledger: MapSpec) -> int:
    btf = ledger.btf
    assert btf is not None
    value = btf.strip(ledger.value_type_id)
    if isinstance(value, t.Struct):
        for member in value.members:
            array = btf.strip(member.type_id)
            if member.name == "record" and isinstance(array, t.Array):
                pointer = btf.strip(array.type_id)
                if isinstance(pointer, t.Pointer):
                    return pointer.type_id
    return 0


def bind(maps: Mapping[str, Map]) -> None:
    """Tell each map NAME that its program side counts its records in NAME_ledger."""
    for name, ledger in maps.items():
        counted = maps.get(name.removesuffix(SUFFIX)) if name.endswith(SUFFIX) else None
        if counted is not None:
            counted.bind_ledger(_reader(ledger))


def _reader(ledger: Map) -> Callable[[], tuple[int, int]]:
    def read() -> tuple[int, int]:
        """Sum (produced, lost) over the CPUs."""
        produced = lost = 0
        for on_cpu in ledger[0]:
            produced += on_cpu.produced
            lost += on_cpu.lost
        return produced, lost

    return read
