"""Commands of bpf(2) on maps.

Element calls build their attribute with one `struct` pack into an immutable bytes object (the
kernel only reads it) and take the addresses of the caller's buffers: about 0.3 us over the
bare system call.
"""

from __future__ import annotations

from errno import EBUSY, EDEADLK, EINTR, ENOENT, ENOSPC, ETIMEDOUT
from struct import Struct, unpack_from

from skep.kernel.bpf.call import (
    NR,
    TOKEN_FD,
    bpf,
    bpf_keeping_gil,
    bpf_with_bytes,
    failure,
    name_field,
    number_of,
    readable,
)
from skep.kernel.fd import FD
from skep.kernel.native import (
    CONTENT,
    DIRECT,
    address_of,
    addressof,
    create_string_buffer,
    from_buffer,
    get_errno,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.errors import SkepError
    from skep.kernel.native import AnyBuffer

# Plain ints: attribute access on an IntEnum costs 30 ns, and passing one through ctypes more.
_CREATE = 0
_LOOKUP = 1
_UPDATE = 2
_DELETE = 3
_NEXT_KEY = 4
_LOOKUP_AND_DELETE = 21
_FREEZE = 22
_LOOKUP_BATCH = 24
_LOOKUP_AND_DELETE_BATCH = 25
_UPDATE_BATCH = 26
_DELETE_BATCH = 27

_VTYPE_BTF_OBJ_FD = 1 << 15

_create_attr = Struct("=7I16s5IQii").pack
# map_fd, padding, key, value or next_key, flags
_element_attr = Struct("=IIQQQ").pack
# in_batch, out_batch, keys, values, count, map_fd, elem_flags, flags
_batch_attr = Struct("=QQQQIIQQ").pack
_COUNT_OFFSET = 32

LOCK_ERRORS = frozenset({EBUSY, EDEADLK, ETIMEDOUT})
"""A batch of a hash that ends with one of these is valid up to where the lock was not to be had."""

_PARTIAL = LOCK_ERRORS | {0, ENOENT, ENOSPC, EINTR}


def map_create(
    *,
    type: int,
    key_size: int,
    value_size: int,
    max_entries: int,
    flags: int = 0,
    name: str = "",
    inner_map_fd: FD | int | None = None,
    numa_node: int = 0,
    btf_fd: FD | int | None = None,
    btf_key_type_id: int = 0,
    btf_value_type_id: int = 0,
    btf_vmlinux_value_type_id: int = 0,
    value_type_btf_obj_fd: FD | int | None = None,
    map_extra: int = 0,
    ifindex: int = 0,
    token_fd: FD | int | None = None,
) -> FD:
    """BPF_MAP_CREATE: create a map and return its descriptor.

    Sizes are bytes. *name* is at most 15 bytes of letters, digits, "_" and "." (`RangeError`).
    *btf_fd* with the type ids makes the kernel check and remember the types of key and value.
    *btf_vmlinux_value_type_id*, for structs of operations, is a type of the kernel, or of the
    module whose BTF is *value_type_btf_obj_fd*. *flags* are `MapFlags`; TOKEN_FD is added for
    *token_fd*, VTYPE_BTF_OBJ_FD for a module.
    """
    if token_fd is not None:
        flags |= TOKEN_FD
    if value_type_btf_obj_fd is not None:
        flags |= _VTYPE_BTF_OBJ_FD
    numbers = (type, key_size, value_size, max_entries, flags, numa_node, map_extra)
    if not all(isinstance(each, int) for each in numbers) or not (
        all(0 <= each < 1 << 32 for each in numbers[:-1]) and 0 <= map_extra < 1 << 64
    ):
        raise _no_numbers(name, numbers)
    attr = _create_attr(
        type,
        key_size,
        value_size,
        max_entries,
        flags,
        number_of(inner_map_fd),
        numa_node,
        name_field(name),
        ifindex,
        number_of(btf_fd),
        btf_key_type_id,
        btf_value_type_id,
        btf_vmlinux_value_type_id,
        map_extra,
        number_of(value_type_btf_obj_fd),
        number_of(token_fd),
    )
    what = f"map {name!r}" if name else "an unnamed map"
    number = bpf(NR, _CREATE, attr, len(attr))
    if number < 0:
        raise failure(_CREATE, what, name=name, type=type)
    return FD(number, what)


def _no_numbers(name: str, numbers: tuple[object, ...]) -> SkepError:
    """Make the error for a map of which one of *numbers* does not fit its field."""
    from skep.errors import RangeError

    fields = ("type", "key_size", "value_size", "max_entries", "flags", "numa_node", "extra")
    for field, given in zip(fields, numbers, strict=True):
        limit = 64 if field == "extra" else 32
        if not isinstance(given, int) or not 0 <= given < 1 << limit:
            break
    expected = f"0 to 2**{limit} - 1"
    return RangeError(
        f"map {name!r}: {field} is {expected}, not {given!r:.60}", expected=expected, given=given,
        map=name, field=field,
    )  # fmt: skip


def map_lookup(fd: FD, key: AnyBuffer, value: AnyBuffer, flags: int = 0) -> bool:
    """BPF_MAP_LOOKUP_ELEM: copy the value of *key* into *value*; False when there is none.

    *value* is writable and as large as the map's value (per-CPU: value size rounded up to 8,
    times the possible CPUs). *key* must be b"" for maps without keys.
    """
    if type(key) is DIRECT and key:  # address_of, inline: 0.3 us less
        start = id(key) + CONTENT
    else:
        key = readable(key)
        start = address_of(key)
    attr = _element_attr(fd.fileno(), 0, start, addressof(from_buffer(value)), flags)
    # A lookup copies and returns; it never waits, so other threads lose nothing by the GIL
    # being kept, and this thread does not have to win it back.
    if bpf_keeping_gil(NR, _LOOKUP, attr, 32) == 0:
        return True
    if get_errno() == ENOENT:
        return False
    raise failure(_LOOKUP, fd)


def map_get(fd: FD, key: AnyBuffer, size: int, flags: int = 0) -> bytes | bytearray | None:
    """BPF_MAP_LOOKUP_ELEM: return the value of *key*, None when there is none.

    *size* is that of the value as for `map_lookup`, which costs 0.4 us more: here the kernel
    writes into an object that nobody else has seen, so it can be `bytes`, whose address is known.
    """
    if type(key) is not DIRECT or not key or size < 2:  # bytes of less than 2 are shared
        value = bytearray(size)
        return value if map_lookup(fd, key, value, flags) else None
    fresh = bytes(size)
    attr = _element_attr(fd.fileno(), 0, id(key) + CONTENT, id(fresh) + CONTENT, flags)
    if bpf_with_bytes(NR, _LOOKUP, attr, 32) == 0:
        return fresh
    if get_errno() == ENOENT:
        return None
    raise failure(_LOOKUP, fd)


def map_update(fd: FD, key: AnyBuffer, value: AnyBuffer, flags: int = 0) -> None:
    """BPF_MAP_UPDATE_ELEM: store *value* under *key*; *flags* are `UpdateFlags`.

    `KernelError` with ENOENT (EXIST asked and absent), EEXIST (NOEXIST asked and present), E2BIG
    (full, or an index past the end), EPERM (frozen or read-only).
    """
    key, value = readable(key), readable(value)
    attr = _element_attr(fd.fileno(), 0, address_of(key), address_of(value), flags)
    if bpf(NR, _UPDATE, attr, 32) != 0:
        raise failure(_UPDATE, fd)


def map_delete(fd: FD, key: AnyBuffer) -> bool:
    """BPF_MAP_DELETE_ELEM: remove *key*; False when it was not there."""
    key = readable(key)
    attr = _element_attr(fd.fileno(), 0, address_of(key), 0, 0)
    if bpf(NR, _DELETE, attr, 32) == 0:
        return True
    if get_errno() == ENOENT:
        return False
    raise failure(_DELETE, fd)


def map_next_key(fd: FD, key: AnyBuffer | None, next_key: AnyBuffer) -> bool:
    """BPF_MAP_GET_NEXT_KEY: copy the key after *key* (None: the first) into *next_key*.

    False at the end. When *key* is gone a hash starts over at its first key: a plain loop over
    a changing map may therefore repeat keys or never end; bound it.
    """
    if key is not None:
        key = readable(key)
    start = 0 if key is None else address_of(key)
    attr = _element_attr(fd.fileno(), 0, start, address_of(next_key), 0)
    if bpf_keeping_gil(NR, _NEXT_KEY, attr, 24) == 0:
        return True
    if get_errno() == ENOENT:
        return False
    raise failure(_NEXT_KEY, fd)


def map_lookup_and_delete(fd: FD, key: AnyBuffer, value: AnyBuffer, flags: int = 0) -> bool:
    """BPF_MAP_LOOKUP_AND_DELETE_ELEM: take *key* out into *value*; False when there is none.

    For queues and stacks (*key* b"") this pops. Hashes since Linux 5.14 ("bpf: Add
    lookup_and_delete_elem support to hashtab").
    """
    key = readable(key)
    attr = _element_attr(fd.fileno(), 0, address_of(key), address_of(value), flags)
    if bpf(NR, _LOOKUP_AND_DELETE, attr, 32) == 0:
        return True
    if get_errno() == ENOENT:
        return False
    raise failure(_LOOKUP_AND_DELETE, fd)


def map_freeze(fd: FD) -> None:
    """BPF_MAP_FREEZE: make the map read-only for user space, for good.

    The verifier then treats a RDONLY_PROG array's content as constants. EBUSY while it is
    mapped writable.
    """
    attr = _element_attr(fd.fileno(), 0, 0, 0, 0)
    if bpf(NR, _FREEZE, attr, 4) != 0:
        raise failure(_FREEZE, fd)


def map_lookup_batch(
    fd: FD,
    in_batch: AnyBuffer | None,
    out_batch: AnyBuffer,
    keys: AnyBuffer,
    values: AnyBuffer,
    count: int,
    flags: int = 0,
    *,
    delete: bool = False,
) -> tuple[int, int]:
    """BPF_MAP_LOOKUP_BATCH, or LOOKUP_AND_DELETE_BATCH: copy up to *count* entries.

    Returns how many entries *keys* and *values* now hold, and the errno: 0 (more to come),
    ENOENT (that was the end; the entries returned with it count), ENOSPC (a hash bucket holds
    more than *count*: nothing was copied, come back with a larger chunk), EINTR (the walk by keys
    was interrupted by removals, before Linux 6.14; the entries count), or one of `LOCK_ERRORS` (the
    entries count, and with *delete* they are out of the map). Any other errno is a
    `KernelError`; EINVAL or ENOTSUPP means that the kind of map has no batches.

    *in_batch* is None at first, then the previous *out_batch*: an opaque position of 4 bytes or
    the key's size, whichever is more. They may be the same buffer.
    """
    start = 0 if in_batch is None else address_of(in_batch)
    attr = create_string_buffer(
        _batch_attr(
            start,
            address_of(out_batch),
            address_of(keys),
            address_of(values),
            count,
            fd.fileno(),
            flags,
            0,
        ),
        56,
    )
    command = _LOOKUP_AND_DELETE_BATCH if delete else _LOOKUP_BATCH
    code = 0 if bpf(NR, command, attr, 56) == 0 else get_errno()
    if code not in _PARTIAL:
        raise failure(command, fd, code)
    (copied,) = unpack_from("=I", attr, _COUNT_OFFSET)
    return copied, code


def map_update_batch(fd: FD, keys: AnyBuffer, values: AnyBuffer, count: int, flags: int = 0) -> int:
    """BPF_MAP_UPDATE_BATCH: store *count* entries; returns the number stored.

    The kernel stops at the first entry it refuses; the `KernelError` then carries the number
    stored before it as `done`. Of *flags* the kernel takes UpdateFlags.LOCK only (EINVAL).
    """
    return _write_batch(_UPDATE_BATCH, fd, keys, values, count, flags)


def map_delete_batch(fd: FD, keys: AnyBuffer, count: int, flags: int = 0) -> int:
    """BPF_MAP_DELETE_BATCH: remove *count* keys; returns the number removed.

    Stops at the first key that is not there: the number returned is then less than *count*.
    """
    return _write_batch(_DELETE_BATCH, fd, keys, None, count, flags)


def _write_batch(
    command: int, fd: FD, keys: AnyBuffer, values: AnyBuffer | None, count: int, flags: int
) -> int:
    keys = readable(keys)
    if values is not None:
        values = readable(values)
    attr = create_string_buffer(
        _batch_attr(
            0,
            0,
            address_of(keys),
            0 if values is None else address_of(values),
            count,
            fd.fileno(),
            flags,
            0,
        ),
        56,
    )
    result = bpf(NR, command, attr, 56)
    code = 0 if result == 0 else get_errno()
    done = int(unpack_from("=I", attr, _COUNT_OFFSET)[0])
    if code and not (command == _DELETE_BATCH and code == ENOENT):
        # EFAULT and EINVAL are found before anything is done, and leave `count` as it was.
        stored = 0 if done == count else done
        raise failure(command, fd, code, done=stored)
    return done
