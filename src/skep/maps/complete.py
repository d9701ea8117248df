"""What is filled in when a map is created from little, and what is missing.

Source: ``bpf_local_storage_map_alloc_check`` and ``bpf_local_storage_map_check_btf`` in
kernel/bpf/bpf_local_storage.c, ``cgroup_storage_map_alloc`` in kernel/bpf/local_storage.c, Linux
6.18. A storage wants a key that is a 32-bit integer, no entries, the flag NO_PREALLOC, and types of
key and value.
"""

from __future__ import annotations

import errno

from skep.errors import KernelError, LoadError, PrivilegeError
from skep.kernel import bpf
from skep.kernel.constants import MapFlags, MapType
from skep.maps import kinds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.btf.btf import Btf
    from skep.kernel.fd import FD
    from skep.maps.spec import MapSpec

KEY_SIZE = 4

_SIZES: dict[int, tuple[int, int]] = {
    MapType.ARRAY: (4, 0),
    MapType.PERCPU_ARRAY: (4, 0),
    MapType.DEVMAP: (4, 8),
    MapType.DEVMAP_HASH: (4, 8),
    MapType.CPUMAP: (4, 8),
    MapType.XSKMAP: (4, 4),
    MapType.SOCKMAP: (4, 8),
    MapType.REUSEPORT_SOCKARRAY: (4, 8),
    MapType.SOCKHASH: (0, 8),
    MapType.PROG_ARRAY: (4, 4),
    MapType.PERF_EVENT_ARRAY: (4, 4),
    MapType.CGROUP_ARRAY: (4, 4),
    MapType.ARRAY_OF_MAPS: (4, 4),
    MapType.HASH_OF_MAPS: (0, 4),
    MapType.STACK_TRACE: (4, 0),
    MapType.CGROUP_STORAGE: (16, 0),
    MapType.PERCPU_CGROUP_STORAGE: (16, 0),
}
"""Sizes of key and value where none are given: those with which most can be done."""

_ATTACHED = (MapType.CGROUP_STORAGE, MapType.PERCPU_CGROUP_STORAGE)


def complete(spec: MapSpec) -> MapSpec:
    """Return *spec* as the kernel wants it: itself, or a copy with what was left out.

    `LoadError` for what is wrong and cannot be filled in.
    """
    if spec.type not in kinds.STORAGES:
        key, value = _SIZES.get(spec.type, (0, 0))
        changes: dict[str, Any] = {}
        if not spec.key_size and key:
            changes["key_size"] = key
        if not spec.value_size and value:
            changes["value_size"] = value
        if spec.type in _ATTACHED:
            _check_entries(spec)
            if not spec.value_size:
                raise _mistake(spec, "the value size", 0, "1 byte or more", "declare a value")
        return spec.copy(**changes) if changes else spec
    if not spec.value_size:
        raise _mistake(spec, "the value size", 0, "1 byte or more", "declare a value")
    if spec.key_size not in (0, KEY_SIZE):
        hint = "declare the key as int: user space gives descriptors"
        raise _mistake(spec, "the key size", spec.key_size, "4 bytes, a descriptor", hint)
    _check_entries(spec)
    flags = int(spec.flags)
    if spec.btf is not None and spec.value_type_id and not spec.key_type_id:
        btf, key_type_id = _with_int(spec.btf)
        return complete(spec.copy(btf=btf, key_type_id=key_type_id))
    if spec.key_size == KEY_SIZE and flags & MapFlags.NO_PREALLOC:
        return spec
    return spec.copy(key_size=KEY_SIZE, flags=flags | MapFlags.NO_PREALLOC)


def _with_int(btf: Btf) -> tuple[Btf, int]:
    """Return *btf* with a 32-bit integer added behind its types, and the integer's id."""
    from skep.btf.btf import Btf
    from skep.btf.writer import Builder

    builder = Builder(btf.byteorder)
    for id in range(1, len(btf)):
        builder.add(btf.type(id), int)  # ids stay what they are
    added = builder.int("int", KEY_SIZE, signed=True)
    return Btf.from_bytes(builder.build(), name=btf.name), added


def _check_entries(spec: MapSpec) -> None:
    if spec.max_entries:
        hint = "leave it out: there is one entry for each object that has one"
        raise _mistake(spec, "max_entries", spec.max_entries, "0", hint)


def create_storage(spec: MapSpec, btf_fd: FD | None, token: FD | None) -> FD:
    """Create a storage; with types that only say its sizes where *spec* has not both of them."""
    from skep.maps.failure import refused
    from skep.maps.spec import kernel_name

    spec = complete(spec)
    key_id, value_id = spec.key_type_id, spec.value_type_id
    own: FD | None = None
    try:
        if not (key_id and value_id and spec.btf is not None):
            own, key_id, value_id = _sizes(spec.value_size, token)
        elif btf_fd is None:
            own = bpf.btf_load(spec.btf.raw, token_fd=token)
        return bpf.map_create(
            type=spec.type,
            key_size=spec.key_size,
            value_size=spec.value_size,
            max_entries=0,
            flags=int(spec.flags),
            name=kernel_name(spec.name),
            btf_fd=own or btf_fd,
            btf_key_type_id=key_id,
            btf_value_type_id=value_id,
            token_fd=token,
        )
    except PrivilegeError:
        raise
    except KernelError as error:
        if error.errno == errno.E2BIG:
            expected = "some bytes less than 65536 at most"
            raise _mistake(spec, "the value size", spec.value_size, expected, "") from error
        raise refused(spec, error) from error
    finally:
        if own is not None:
            own.close()


def _sizes(value_size: int, token: FD | None) -> tuple[FD, int, int]:
    """Load BTF with an int and an array of so many bytes; return it and the two ids."""
    from skep.btf.writer import Builder

    builder = Builder()
    key = builder.int("int", KEY_SIZE, signed=True)
    byte = builder.int("unsigned char", 1)
    value = builder.array(byte, value_size, key)
    return bpf.btf_load(builder.build(), token_fd=token), key, value


def _mistake(spec: MapSpec, what: str, given: Any, expected: str, hint: str) -> LoadError:
    return LoadError(
        f"map {spec.name!r} ({kinds.type_name(spec.type)}) cannot be created:"
        f" {what} must be {expected}, not {given}",
        errno=errno.EINVAL,
        hint=hint,
        call="BPF_MAP_CREATE",
        name=spec.name,
        kind="map",
        expected=expected,
        given=given,
    )
