"""The memory that an array shares with its programs: live views, and single accesses of 8 bytes.

The kernel gives every element a multiple of 8 bytes (``array->elem_size = round_up(value_size,
8)``), and maps arrays made with BPF_F_MMAPABLE since Linux 5.5 ("bpf: Add mmap() support for
BPF_MAP_TYPE_ARRAY"). Per-CPU arrays it does not map: each CPU's values are allocated apart.
"""

from __future__ import annotations

from _operator import index as to_index  # operator without its Python part
from sys import byteorder as _BYTE_ORDER  # noqa: N812  a constant

from skep.errors import RangeError, TypeMismatchError, UnsupportedError
from skep.kernel import descriptors
from skep.kernel.constants import MapFlags, MapType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    import numpy as np

    from skep.kernel.memory import Mapping
    from skep.maps.types.array import ArrayMap


def slot_of(map: Any) -> int:
    """Return how many bytes lie between two elements of an array."""
    size: int = map.spec.value_size
    return size + 7 & ~7


def mapping_of(map: ArrayMap[Any]) -> Mapping:
    """Return the array's shared memory; `UnsupportedError` saying why there is none."""
    map.fileno()  # raises when it is closed
    found = map.memory()
    if found is None:
        raise _not_shared(map)
    return found


def live_view(map: ArrayMap[Any]) -> np.ndarray[Any, Any]:
    """Return the array's memory, one element an entry."""
    import numpy as np

    mapping = mapping_of(map)
    return np.ndarray(
        (map.spec.max_entries,),
        map.cells.value_dtype,
        buffer=mapping.view,
        strides=(slot_of(map),),
    )


def load_u64(map: ArrayMap[Any], index: int, offset: int) -> int:
    """Load 8 bytes of one value, whole."""
    from skep.kernel import memory

    mapping = mapping_of(map)
    place = _place(map, index, offset)
    held = mapping.view  # an address does not keep its pages when another thread closes the map
    number = memory.load_u64(mapping.address + place)
    del held
    return number


def store_u64(map: ArrayMap[Any], index: int, value: int, offset: int) -> None:
    """Store 8 bytes of one value, whole."""
    from skep.kernel import memory

    mapping = mapping_of(map)
    place = _place(map, index, offset)
    held = mapping.view  # keeps the pages, see `load_u64`
    if held.readonly:
        message = f"map {map.name!r} is read-only for user space: nothing can be stored in it"
        why = "frozen" if map.spec.frozen else "made with BPF_F_RDONLY"
        raise UnsupportedError(message, hint=f"it is {why}", feature="write to a read-only map")
    try:
        number = to_index(value)
    except TypeError:
        message = f"map {map.name!r}: 8 bytes are an integer, not {type(value).__name__}"
        raise TypeMismatchError(message, expected="u64", given=value, map=map.name) from None
    if not 0 <= number < 1 << 64:
        message = f"map {map.name!r}: {number} does not fit 8 bytes (0 to 2**64 - 1)"
        raise RangeError(message, expected="0 to 2**64 - 1", given=value, map=map.name)
    memory.store_u64(mapping.address + place, number)
    del held


def _place(map: ArrayMap[Any], index: int, offset: int) -> int:
    spec, slot = map.spec, slot_of(map)
    number = int.from_bytes(map.cells.key.pack(index), _BYTE_ORDER)
    if number >= spec.max_entries:
        raise map._missing(index)  # noqa: SLF001  the same sentence as for map[index]
    if offset % 8 or not 0 <= offset <= slot - 8:
        message = (
            f"map {map.name!r}: there are no 8 aligned bytes at offset {offset} of a value of"
            f" {spec.value_size} bytes"
        )
        hint = "give an offset that is a multiple of 8"
        raise RangeError(message, hint=hint, expected=f"0 to {slot - 8}", given=offset)
    return number * slot + offset


def _not_shared(map: ArrayMap[Any]) -> UnsupportedError:
    what = f"map {map.name!r}"
    if map.spec.type == MapType.PERCPU_ARRAY:
        message = f"{what} is a per-CPU array, whose memory the kernel does not share"
        hint = "read() copies it, in a few system calls"
    elif not int(map.spec.flags) & MapFlags.MMAPABLE:
        message = f"{what} was made without BPF_F_MMAPABLE: its memory is not shared"
        hint = "__uint(map_flags, BPF_F_MMAPABLE) in C, or spec.flags |= 1 << 10 before it is made"
    elif descriptors.facts(map.fd).get("flags", "")[-1:] == "2":
        message = f"{what} has values with a lock, a timer or the like: its memory is not shared"
        hint = "read() copies it, in a few system calls"
    else:
        message = f"{what} was opened with BPF_F_RDONLY or BPF_F_WRONLY: its memory is not shared"
        hint = "open it without, or copy it with read(), in a few system calls"
    return UnsupportedError(message, hint=hint, feature="array mmap", map=map.name)
