"""`DeviceMap` and `CpuMap`: where XDP programs redirect frames to.

Source: kernel/bpf/{devmap,cpumap}.c and ``struct bpf_devmap_val``, ``struct bpf_cpumap_val`` in
include/uapi/linux/bpf.h, Linux 6.18. With a value of 4 bytes an entry is the device or the queue
alone; with 8 (Linux 5.8, 5.9) it may name a program that runs on the frames there.
"""

from __future__ import annotations

import errno
import sys

from skep.btf.record import Record
from skep.errors import (
    NotFoundError,
    RangeError,
    SkepError,
    TypeMismatchError,
)
from skep.generic import Generic, K, V
from skep.kernel.constants import AttachType, MapType
from skep.maps.types.sparse import SlotMap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    import numpy as np

    from skep.maps.cells import Cell, Cells

MAX_QUEUE = 16384
"""Frames that the queue of a CPU can hold (``cpu_map_alloc_check``)."""

_DEVICE = "struct bpf_devmap_val"
_CPU = "struct bpf_cpumap_val"


class Device(Record, type_name=_DEVICE):
    """An entry of a device map: the interface, and the id of the program there (0: none)."""

    ifindex: int
    program: int = 0

    @property
    def interface(self) -> str:
        """The interface's name in this network namespace, "" when it is not in it."""
        return _name(self.ifindex)


class Cpu(Record, type_name=_CPU):
    """An entry of a CPU map: the frames its queue holds, and the program's id (0: none)."""

    qsize: int
    program: int = 0


class _PairCell:
    """A u32, and where there are 8 bytes the descriptor (read: the id) of a program after it."""

    __slots__ = ("_c_name", "_first", "_made", "map", "size")

    def __init__(self, map: str, size: int, made: Any, first: str, c_name: str) -> None:
        self.map = map
        self.size = size
        self._c_name = c_name
        self._made = made
        self._first = first

    @property
    def dtype(self) -> np.dtype[Any]:
        """What a column of entries is made of."""
        import numpy as np

        if self.size == 4:
            return np.dtype(np.uint32)
        return np.dtype([(self._first, np.uint32), ("program", np.uint32)])

    def number(self, value: Any) -> int:
        """Return the u32 that stands for *value*."""
        raise NotImplementedError

    def pack(self, value: Any) -> bytes:
        """Return *value*, or a pair, mapping or record of it and a program."""
        program: Any = None
        if isinstance(value, bytes) and len(value) == self.size:
            return value  # packed already
        if hasattr(value, "keys"):
            unknown = [name for name in value if name not in (self._first, "program")]
            if unknown or self._first not in value:
                raise self._wrong(value)
            value, program = value[self._first], value.get("program")
        elif isinstance(value, (tuple, list)):
            if len(value) != 2:
                raise self._wrong(value)
            value, program = value
        packed = self.number(value).to_bytes(4, sys.byteorder)
        if self.size == 4:
            if program is not None and program != 0:
                raise TypeMismatchError(
                    "the values of this map are 4 bytes, which leaves no room for a program",
                    hint=f"declare them as {self._c_name}, 8 bytes",
                    expected=self._first,
                    given=program,
                )
            return packed
        return packed + self._program(program)

    def _program(self, program: Any) -> bytes:
        # 0 is what the kernel reports for "none"; as a descriptor only what is above 0 counts.
        if program is None or (isinstance(program, int) and program == 0):
            return bytes(4)
        number = program.fileno() if hasattr(program, "fileno") else program
        if not isinstance(number, int) or isinstance(number, bool) or not 0 < number < 1 << 31:
            raise TypeMismatchError(
                f"expected a program or its descriptor, not {type(program).__name__}"
                f" {program!r:.60}",
                expected="a program",
                given=program,
            )
        return number.to_bytes(4, sys.byteorder)

    def _wrong(self, value: Any) -> TypeMismatchError:
        expected = f"{self._first}, or ({self._first}, program)"
        message = f"expected {expected}, not {value!r:.60}"
        return TypeMismatchError(message, expected=expected, given=value)

    def unpack(self, buffer: Any, offset: int = 0) -> Any:
        """Return the number, or the record of number and program id."""
        first = int.from_bytes(buffer[offset : offset + 4], sys.byteorder)
        if self.size == 4:
            return first
        return self._made(first, int.from_bytes(buffer[offset + 4 : offset + 8], sys.byteorder))


class _DeviceCell(_PairCell):
    __slots__ = ()

    def number(self, value: Any) -> int:
        if isinstance(value, str):
            return interface_index(value, f"map {self.map!r}, value")
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeMismatchError(
                "expected the name or number of a network interface, not"
                f" {type(value).__name__} {value!r:.60}",
                expected="an interface",
                given=value,
            )
        if not 0 < value < 1 << 31:
            expected = "1 to 2**31 - 1"
            message = f"{value} is not the number of a network interface"
            raise RangeError(message, hint="del m[key] empties it", expected=expected, given=value)
        return value


class _CpuCell(_PairCell):
    __slots__ = ()

    def number(self, value: Any) -> int:
        expected = f"the frames of the queue, 1 to {MAX_QUEUE}"
        if not isinstance(value, int) or isinstance(value, bool):
            message = f"expected {expected}, not {type(value).__name__} {value!r:.60}"
            raise TypeMismatchError(message, expected=expected, given=value)
        if not 0 < value <= MAX_QUEUE:
            hint = "del m[cpu] empties it" if value == 0 else ""
            message = f"expected {expected}, not {value}"
            raise RangeError(message, hint=hint, expected=expected, given=value)
        return value


def interface_index(name: str, where: str) -> int:
    """Return the number of the network interface *name* in this process's network namespace.

    `NotFoundError`, listing those there are, when it is not in it; *where* begins the message.
    """
    from socket import if_nametoindex

    try:
        return if_nametoindex(name)
    except (OSError, ValueError):
        raise _no_interface(f"{name!r}", name, where) from None


def _no_interface(text: str, name: str, where: str) -> NotFoundError:
    from difflib import get_close_matches
    from socket import if_nameindex

    there = [one for _, one in if_nameindex()]
    close = get_close_matches(name, there, 3, 0.6)
    hint = f"it has {', '.join(there[:8])}{', ...' if len(there) > 8 else ''}"
    if close:
        hint = f"did you mean {' or '.join(close)}?"
    return NotFoundError(
        f"{where}: there is no network interface {text} in the network namespace of this process,"
        " which is where a device map looks for it",
        hint=hint,
        name=name,
        where="network namespace",
    )


def _name(ifindex: int) -> str:
    from socket import if_indextoname

    try:
        return if_indextoname(ifindex)
    except OSError:
        return ""


class DeviceMap(SlotMap[K, V], Generic[K, V]):
    """Network interfaces to redirect to: by slot (DEVMAP) or any u32 (DEVMAP_HASH, Linux 5.4).

    A value is an interface's name or number, or a pair with an XDP program that runs on the frames
    there: one in SEC("xdp/devmap"), for values of 8 bytes. It reads as the number, or as a `Device`
    with the program's id. Names and numbers are those of the network namespace that this process
    is in when it stores them; an interface that is removed leaves the map by itself.
    """

    __slots__ = ()

    def _make_cells(self) -> Cells:
        from skep.maps.cells import Cells, Index

        spec = self.spec
        # The keys of the hash have 4 bytes too, and may be called otherwise by BTF.
        indexed = spec.type == MapType.DEVMAP or not spec.key_type_id
        key: Cell | None = Index() if indexed else None
        cell = _DeviceCell(spec.name, spec.value_size, Device, "ifindex", _DEVICE)
        return Cells(spec, key=key, value=cell)

    def _refused(self, _: Any, value: Any, code: int) -> SkepError | None:
        if code != errno.EINVAL:
            return None
        device, program = _split(value, "ifindex")
        if isinstance(device, int) and not _name(device):
            return _no_interface(str(device), str(device), f"map {self.name!r}, value")
        if program is not None:
            return _wrong_program(self, program, code, "xdp/devmap", "XDP_DEVMAP")
        return None

    def insert(self, key: K, value: Any, *, lock: bool = False) -> None:
        """Store into a key that is new; `KeyPresentError` else. Only DEVMAP_HASH can do that."""
        if self.spec.type == MapType.DEVMAP:
            super().insert(key, value, lock=lock)  # which refuses
        super(SlotMap, self).insert(key, value, lock=lock)


class CpuMap(SlotMap[K, V], Generic[K, V]):
    """CPUs to hand frames over to (CPUMAP, Linux 4.15): the key is the CPU's number.

    A value is how many frames its queue holds (1 to 16384), or a pair with an XDP program that runs
    on them there: one in SEC("xdp/cpumap"), for values of 8 bytes. It reads as the number, or as a
    `Cpu` with the program's id. The kernel starts a thread for each entry.
    """

    __slots__ = ()

    def _make_cells(self) -> Cells:
        from skep.maps.cells import Cells, Index

        cell = _CpuCell(self.spec.name, self.spec.value_size, Cpu, "qsize", _CPU)
        return Cells(self.spec, key=Index(), value=cell)

    def _refused(self, key: Any, value: Any, code: int) -> SkepError | None:
        if code == errno.ENODEV:
            from skep.kernel.cpus import online_cpus

            there = ", ".join(map(str, online_cpus()))
            return NotFoundError(
                f"map {self.name!r}, key: this machine has no CPU {key}",
                hint=f"it has {there}",
                name=str(key),
                where="CPUs",
            )
        _, program = _split(value, "qsize")
        # A program that does not fit is ENOMEM, too: __cpu_map_entry_alloc returns no reason.
        if code in (errno.EINVAL, errno.ENOMEM) and program is not None:
            kind = getattr(program, "expected_attach_type", None)
            if code == errno.EINVAL or kind != AttachType.XDP_CPUMAP:
                return _wrong_program(self, program, code, "xdp/cpumap", "XDP_CPUMAP")
        return None


def _split(value: Any, first: str) -> tuple[Any, Any]:
    """Return what was given as the number, and as the program."""
    if isinstance(value, bytes):
        return None, int.from_bytes(value[4:8], sys.byteorder) or None
    if hasattr(value, "keys"):
        return value.get(first), value.get("program")
    if isinstance(value, (tuple, list)):
        return value[0], value[1]
    return value, None


def _wrong_program(map: Any, program: Any, code: int, section: str, attach_type: str) -> SkepError:
    return TypeMismatchError(
        f"map {map.name!r}, value, program: the kernel does not take {program!r:.80} here",
        hint=f'it takes XDP programs in SEC("{section}"), loaded for {attach_type}',
        expected=f"an XDP program for {attach_type}",
        given=program,
        field="program",
        map=map.name,
        role="value",
        errno=code,
    )
