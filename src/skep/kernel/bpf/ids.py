"""Commands of bpf(2) on any object: pinning, ids, info, statistics; and BTF loading."""

from __future__ import annotations

import os
from errno import ENOENT
from struct import Struct, unpack_from

from skep.kernel.bpf.call import NR, TOKEN_FD, bpf, failure, number_of
from skep.kernel.fd import FD
from skep.kernel.native import address_of, create_string_buffer, get_errno

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, TypeAlias

    Kind: TypeAlias = Literal["prog", "map", "link", "btf"]
else:
    Kind = str

_OBJ_PIN = 6
_OBJ_GET = 7
_OBJ_GET_INFO_BY_FD = 15
_BTF_LOAD = 18
_ENABLE_STATS = 32

_GET_NEXT_ID = {"prog": 11, "map": 12, "btf": 23, "link": 31}
_PLURAL = {"prog": "programs", "map": "maps", "btf": "BTF objects", "link": "links"}
_GET_FD_BY_ID = {"prog": 13, "map": 14, "btf": 19, "link": 30}

_TOKEN_CREATE = 36

_pair_attr = Struct("=II").pack
_path_attr = Struct("=QIIi").pack
_btf_attr = Struct("=QQIIIIIi").pack
_info_attr = Struct("=IIQ").pack
_id_attr = Struct("=IIIi").pack


def btf_load(
    data: bytes,
    *,
    log_level: int = 0,
    log_buffer: bytearray | None = None,
    token_fd: FD | int | None = None,
) -> FD:
    """BPF_BTF_LOAD: give the kernel a BTF blob (host byte order) and return its descriptor.

    A refusal is a `KernelError` with `log_true_size` (see `prog_load`); the reason is in
    *log_buffer* when one was given with *log_level* 1 or more.
    """
    data = bytes(data)
    attr = create_string_buffer(
        _btf_attr(
            address_of(data),
            0 if log_buffer is None else address_of(log_buffer),
            len(data),
            0 if log_buffer is None else len(log_buffer),
            log_level,
            0,
            0 if token_fd is None else TOKEN_FD,
            number_of(token_fd),
        ),
        40,
    )
    number = bpf(NR, _BTF_LOAD, attr, 40)
    if number < 0:
        code = get_errno()
        (log_true_size,) = unpack_from("=I", attr, 28)
        raise failure(_BTF_LOAD, "BTF", code, log_true_size=log_true_size)
    return FD(number, "BTF")


def obj_pin(fd: FD, path: str | bytes) -> None:
    """BPF_OBJ_PIN: give a map, program, link or BTF a name in a bpf file system.

    *path* must not exist (EEXIST) and lie on a mounted bpffs (EPERM otherwise).
    """
    name = os.fsencode(path) + b"\0"
    attr = _path_attr(address_of(name), fd.fileno(), 0, 0)
    if bpf(NR, _OBJ_PIN, attr, 16) != 0:
        raise failure(_OBJ_PIN, f"{fd.what} at {os.fsdecode(path)}", path=os.fsdecode(path))


def obj_get(path: str | bytes, flags: int = 0) -> FD:
    """BPF_OBJ_GET: open a pinned object; *flags* MapFlags.RDONLY or WRONLY limit a map."""
    name = os.fsencode(path) + b"\0"
    attr = _path_attr(address_of(name), 0, flags, 0)
    number = bpf(NR, _OBJ_GET, attr, 16)
    if number < 0:
        raise failure(_OBJ_GET, os.fsdecode(path), path=os.fsdecode(path))
    return FD(number, f"object pinned at {os.fsdecode(path)}")


def obj_info(fd: FD, size: int, *, fill: bytes = b"") -> bytes:
    """BPF_OBJ_GET_INFO_BY_FD: return the first *size* bytes of the object's info structure.

    The result is as long as what this kernel knows, so older kernels give less. *fill* is what
    the buffer holds before the call: info structures take addresses of buffers to fill.
    """
    buffer = bytearray(size)
    buffer[: len(fill)] = fill
    attr = create_string_buffer(_info_attr(fd.fileno(), size, address_of(buffer)), 16)
    if bpf(NR, _OBJ_GET_INFO_BY_FD, attr, 16) != 0:
        raise failure(_OBJ_GET_INFO_BY_FD, fd)
    (length,) = unpack_from("=I", attr, 4)
    return bytes(buffer[:length])


def next_id(kind: Kind, start: int = 0) -> int | None:
    """BPF_*_GET_NEXT_ID: return the first id of *kind* above *start*, or None at the end.

    *kind* is "prog", "map", "link" or "btf". Needs CAP_SYS_ADMIN.
    """
    command = _GET_NEXT_ID[kind]
    attr = create_string_buffer(_id_attr(start, 0, 0, 0), 16)
    if bpf(NR, command, attr, 16) == 0:
        (found,) = unpack_from("=I", attr, 4)
        return int(found)
    if get_errno() == ENOENT:
        return None
    raise failure(command, f"the {_PLURAL[kind]} of the system")


def fd_by_id(kind: Kind, id: int, *, flags: int = 0) -> FD:
    """BPF_*_GET_FD_BY_ID: open the object *id* of *kind*; ENOENT when it is gone.

    *flags* MapFlags.RDONLY or WRONLY limit a map. Needs CAP_SYS_ADMIN.
    """
    command = _GET_FD_BY_ID[kind]
    attr = _id_attr(id, 0, flags, 0)
    number = bpf(NR, command, attr, 16)
    if number < 0:
        raise failure(command, f"{kind} id {id}", id=id)
    return FD(number, f"{kind} id {id}")


def enable_stats() -> FD:
    """BPF_ENABLE_STATS: count run time and runs of all programs while the FD is open.

    Costs every program tens of nanoseconds a run, system-wide. Needs CAP_SYS_ADMIN.
    """
    attr = _id_attr(0, 0, 0, 0)  # type BPF_STATS_RUN_TIME
    number = bpf(NR, _ENABLE_STATS, attr, 4)
    if number < 0:
        raise failure(_ENABLE_STATS, "run-time statistics")
    return FD(number, "run-time statistics")


def token_create(bpffs: FD | int) -> FD:
    """BPF_TOKEN_CREATE: make a token from the bpf file system whose root folder is *bpffs*.

    Linux 6.9; EINVAL before, and for another kind of folder. ENOENT when that file system delegates
    nothing, EPERM when it is another user namespace's.
    """
    attr = _pair_attr(0, number_of(bpffs))
    number = bpf(NR, _TOKEN_CREATE, attr, 8)
    if number < 0:
        what = "a descriptor" if isinstance(bpffs, int) else bpffs.what
        raise failure(_TOKEN_CREATE, f"a token from {what}")
    return FD(number, "BPF token")
