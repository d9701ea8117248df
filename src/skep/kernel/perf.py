"""perf_event_open(2): the descriptors that tracepoints, probes and samplers hang on.

Source: perf_event_open(2), include/uapi/linux/perf_event.h of Linux 6.18, and
Documentation/ABI/testing/sysfs-bus-event_source-devices-format.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
from errno import EACCES, EINVAL, ENODEV, ENOENT, ENOTSUP, EPERM
from struct import Struct

from skep.errors import FormatError, KernelError, UnsupportedError
from skep.kernel.fd import FD
from skep.kernel.native import address_of, get_errno
from skep.kernel.syscall import error_text, syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_pack = Struct("=IIQQQQQIIQQQQIiQIHH").pack
_SIZE = 112  # PERF_ATTR_SIZE_VER5, Linux 4.1; the kernel takes the rest as zero

_HARDWARE = 0  # PERF_TYPE_HARDWARE

_FD_CLOEXEC = 1 << 3

# _IO('$', n) and _IOW('$', 8, __u32); the encoding is the generic one on x86 and arm64.
_IOC_ENABLE = 0x2400
_IOC_DISABLE = 0x2401
_IOC_SET_BPF = 0x40042408

_DISABLED = 1 << 0
_INHERIT = 1 << 1
_EXCLUDE_USER = 1 << 4
_EXCLUDE_KERNEL = 1 << 5
_FREQUENCY = 1 << 10
_WATERMARK = 1 << 14


class PerfEventAttr:
    """`struct perf_event_attr`, built from keywords.

    *period* (events between samples) and *frequency* (samples a second) exclude each other.
    *config1* and *config2* may be buffers (a path ending in NUL): their address is passed and
    they are kept alive with this object. *wakeup_events* wakes the reader every so many samples,
    *wakeup_bytes* every so many bytes. Immutable; may be used for many events.
    """

    __slots__ = ("_kept", "data", "type")

    def __init__(
        self,
        *,
        type: int,
        config: int = 0,
        period: int = 0,
        frequency: int = 0,
        sample_type: int = 0,
        read_format: int = 0,
        wakeup_events: int = 0,
        wakeup_bytes: int = 0,
        config1: int | bytes = 0,
        config2: int | bytes = 0,
        breakpoint_type: int = 0,
        disabled: bool = False,
        inherit: bool = False,
        exclude_user: bool = False,
        exclude_kernel: bool = False,
    ) -> None:
        flags = disabled * _DISABLED | inherit * _INHERIT
        flags |= exclude_user * _EXCLUDE_USER | exclude_kernel * _EXCLUDE_KERNEL
        flags |= (frequency > 0) * _FREQUENCY | (wakeup_bytes > 0) * _WATERMARK
        self._kept = (config1, config2)
        self.type = int(type)
        self.data: bytes = _pack(
            type,
            _SIZE,
            config,
            frequency or period,
            sample_type,
            read_format,
            flags,
            wakeup_bytes or wakeup_events,
            breakpoint_type,
            config1 if isinstance(config1, int) else address_of(config1),
            config2 if isinstance(config2, int) else address_of(config2),
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
        )


def perf_event_open(
    attr: PerfEventAttr,
    *,
    pid: int = -1,
    cpu: int = -1,
    group: FD | None = None,
    flags: int = 0,
    what: str = "perf event",
) -> FD:
    """Open an event and return its descriptor (close-on-exec).

    *pid* -1 is every process (then *cpu* must be a processor), 0 the calling one; *cpu* -1 every
    processor (then *pid* must be one). *what* names the event in errors: `PrivilegeError` for
    EACCES and EPERM, `UnsupportedError` when the machine has no such event, else `KernelError`.
    """
    buffer = ctypes.create_string_buffer(attr.data, _SIZE)
    number = syscall(
        "perf_event_open",
        ctypes.addressof(buffer),
        pid,
        cpu,
        -1 if group is None else group.fileno(),
        flags | _FD_CLOEXEC,
    )
    if number >= 0:
        return FD(number, what)
    raise _failure(attr, what, get_errno(), pid=pid, cpu=cpu)


def _failure(attr: PerfEventAttr, what: str, code: int, **evidence: Any) -> Exception:
    if code in (EACCES, EPERM):
        from skep.kernel.capabilities import explain_eperm, have

        # perf_uprobe_event_init asks for CAP_SYS_ADMIN to this day (6.18 gives EACCES to
        # CAP_PERFMON); uprobe_multi links, kprobes, tracepoints and sampling take CAP_PERFMON.
        needs, advice = "CAP_PERFMON", ""
        if attr.type == _types.get("uprobe"):
            needs = "CAP_SYS_ADMIN"
        elif have("CAP_PERFMON") and _paranoid() > 2:
            # Debian's and Ubuntu's kernels have levels above 2, which close perf_event_open to
            # all but CAP_SYS_ADMIN (Debian: security-perf-allow-further-restriction-...).
            needs, advice = "CAP_SYS_ADMIN", "set the sysctl kernel.perf_event_paranoid to 2"
        doing = f"opening {what}"
        return explain_eperm(
            "perf_event_open", doing, (needs,), errno=code, advice=advice, **evidence
        )
    if code in (ENOENT, ENODEV, ENOTSUP):
        message = f"{what} does not exist on this machine: {error_text(code)}"
        hint = "virtual machines often have no hardware counters; cpu-clock always works"
        return UnsupportedError(
            message, hint=hint if attr.type == _HARDWARE else "", feature=what, errno=code
        )
    hint = "is the period, frequency or processor allowed?" if code == EINVAL else ""
    message = f"opening {what} failed: {error_text(code)}"
    return KernelError(message, errno=code, call="perf_event_open", hint=hint, **evidence)


def _paranoid() -> int:
    text = _read("/proc/sys/kernel/perf_event_paranoid") or ""
    return int(text) if text.lstrip("-").isdecimal() else 0


def enable(event: FD) -> None:
    """PERF_EVENT_IOC_ENABLE: start counting; a program on the event begins to run."""
    _ioctl(event, _IOC_ENABLE, 0, "enabling")


def disable(event: FD) -> None:
    """PERF_EVENT_IOC_DISABLE: stop counting."""
    _ioctl(event, _IOC_DISABLE, 0, "disabling")


def set_bpf(event: FD, prog: FD) -> None:
    """PERF_EVENT_IOC_SET_BPF: attach a program without a link (before Linux 5.15).

    The program stays attached until *event* is closed; there is no cookie.
    """
    _ioctl(event, _IOC_SET_BPF, prog.fileno(), f"attaching {prog.what} to")


def _ioctl(event: FD, request: int, argument: int, doing: str) -> None:
    try:
        fcntl.ioctl(event.fileno(), request, argument)
    except OSError as error:
        code = error.errno or 0
        message = f"{doing} {event.what} failed: {error_text(code)}"
        raise KernelError(message, errno=code, call="ioctl") from error


_DEVICES = "/sys/bus/event_source/devices/"


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise KernelError(message, errno=error.errno or 0, call="read") from error


_types: dict[str, int] = {}


def pmu_type(name: str) -> int:
    """Return the event type of a dynamic source: "uprobe", "kprobe", "breakpoint", ...

    `UnsupportedError` when this kernel has none (built without CONFIG_UPROBE_EVENTS, ...).
    Cached: the number is given at boot.
    """
    if name in _types:
        return _types[name]
    text = _read(f"{_DEVICES}{os.path.basename(name)}/type")
    if text is None:
        message = f"this kernel has no perf event source {name!r}"
        hint = f"it is built without CONFIG_{name.upper()}_EVENTS, or /sys is not mounted"
        raise UnsupportedError(message, hint=hint, feature=name)
    if not text.isdecimal():
        raise FormatError(f"{_DEVICES}{name}/type says {text!r}, not a number")
    _types[name] = int(text)
    return _types[name]


def pmu_format_bit(pmu: str, field: str) -> int:
    """Return the lowest bit of *field* in the `config` of events of *pmu*.

    "config:32-63" (uprobe's ref_ctr_offset) gives 32, "config:0" (retprobe) 0.
    """
    path = f"{_DEVICES}{os.path.basename(pmu)}/format/{field}"
    text = _read(path)
    if text is None:
        message = f"perf events of {pmu!r} have no field {field!r} on this kernel"
        raise UnsupportedError(message, feature=f"{pmu} {field}")
    where, _, bits = text.partition(":")
    first = bits.partition("-")[0]
    if where != "config" or not first.isdecimal():
        raise FormatError(f"{path} says {text!r}, not bits of config")
    return int(first)
