"""Which capabilities the process has, which ones bpf(2) asks for, and how to say what is missing.

Sources: capabilities(7); kernel/bpf/syscall.c (bpf_prog_load, map_create) of Linux 6.18. CAP_BPF
and CAP_PERFMON exist since Linux 5.8; CAP_SYS_ADMIN stands for both.
"""

from __future__ import annotations

import ctypes
from errno import EPERM
from struct import unpack_from

from skep.errors import KernelError, PrivilegeError, RangeError
from skep.kernel.constants import MapType, ProgramType, name_of
from skep.kernel.syscall import checked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Bit numbers of include/uapi/linux/capability.h.
_NUMBERS = {
    "CAP_CHOWN": 0,
    "CAP_DAC_OVERRIDE": 1,
    "CAP_DAC_READ_SEARCH": 2,
    "CAP_FOWNER": 3,
    "CAP_KILL": 5,
    "CAP_SETGID": 6,
    "CAP_SETUID": 7,
    "CAP_SETPCAP": 8,
    "CAP_NET_BIND_SERVICE": 10,
    "CAP_NET_ADMIN": 12,
    "CAP_NET_RAW": 13,
    "CAP_IPC_LOCK": 14,
    "CAP_SYS_MODULE": 16,
    "CAP_SYS_PTRACE": 19,
    "CAP_SYS_ADMIN": 21,
    "CAP_SYS_RESOURCE": 24,
    "CAP_SYSLOG": 34,
    "CAP_PERFMON": 38,
    "CAP_BPF": 39,
    "CAP_CHECKPOINT_RESTORE": 40,
}
_STANDS_FOR = {
    "CAP_BPF": "CAP_SYS_ADMIN",
    "CAP_PERFMON": "CAP_SYS_ADMIN",
    "CAP_SYSLOG": "CAP_SYS_ADMIN",
    "CAP_DAC_READ_SEARCH": "CAP_DAC_OVERRIDE",
}

_VERSION_3 = 0x20080522  # _LINUX_CAPABILITY_VERSION_3: 64 bits in two halves

_NETWORK_PROGRAMS = {
    ProgramType.SCHED_CLS,
    ProgramType.SCHED_ACT,
    ProgramType.XDP,
    ProgramType.LWT_IN,
    ProgramType.LWT_OUT,
    ProgramType.LWT_XMIT,
    ProgramType.LWT_SEG6LOCAL,
    ProgramType.SK_SKB,
    ProgramType.SK_MSG,
    ProgramType.FLOW_DISSECTOR,
    ProgramType.CGROUP_DEVICE,
    ProgramType.CGROUP_SOCK,
    ProgramType.CGROUP_SOCK_ADDR,
    ProgramType.CGROUP_SOCKOPT,
    ProgramType.CGROUP_SYSCTL,
    ProgramType.SOCK_OPS,
    ProgramType.SK_LOOKUP,
    ProgramType.NETFILTER,
    ProgramType.LIRC_MODE2,
}
_TRACING_PROGRAMS = {
    ProgramType.KPROBE,
    ProgramType.TRACEPOINT,
    ProgramType.PERF_EVENT,
    ProgramType.RAW_TRACEPOINT,
    ProgramType.RAW_TRACEPOINT_WRITABLE,
    ProgramType.TRACING,
    ProgramType.LSM,
    ProgramType.STRUCT_OPS,
}
_NETWORK_MAPS = {
    MapType.SOCKMAP,
    MapType.SOCKHASH,
    MapType.DEVMAP,
    MapType.DEVMAP_HASH,
    MapType.XSKMAP,
}


def effective() -> int:
    """Return the calling thread's effective capabilities as a bit mask (capget(2))."""
    header = ctypes.create_string_buffer(_VERSION_3.to_bytes(4, "little") + bytes(4), 8)
    data = ctypes.create_string_buffer(24)  # effective, permitted, inheritable; twice
    checked(
        "capget",
        ctypes.addressof(header),
        ctypes.addressof(data),
        what="reading the process's capabilities",
    )
    return int(unpack_from("=I", data, 0)[0]) | int(unpack_from("=I", data, 12)[0]) << 32


def have(name: str) -> bool:
    """Whether the capability *name* ("CAP_BPF"), or one that stands for it, is effective.

    Being root of a user namespace counts here but not for bpf(2), which asks for the initial
    namespace's: see `in_user_namespace`. `RangeError` for a name that is none.
    """
    return bool(_holds(name, effective()))


def _holds(name: str, mask: int) -> bool:
    try:
        bit = _NUMBERS[name]
    except KeyError:
        raise RangeError(f"{name!r} is not a capability that skep knows", name=name) from None
    if mask >> bit & 1:
        return True
    wider = _STANDS_FOR.get(name)
    return wider is not None and bool(mask >> _NUMBERS[wider] & 1)


def missing(needs: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of *needs* that the calling thread does not have."""
    mask = effective()
    return tuple(name for name in needs if not _holds(name, mask))


def in_user_namespace() -> bool:
    """Whether the process lives in a user namespace other than the initial one."""
    try:
        with open("/proc/self/uid_map", "rb") as file:
            return file.read().split() != [b"0", b"0", b"4294967295"]
    except OSError:
        return False


def program_capabilities(type: int) -> tuple[str, ...]:
    """Return the capabilities that loading a program of *type* asks for."""
    if type in _TRACING_PROGRAMS:
        return ("CAP_BPF", "CAP_PERFMON")
    if type in _NETWORK_PROGRAMS:
        return ("CAP_BPF", "CAP_NET_ADMIN")
    if type == ProgramType.EXT:
        return ("CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN")
    return ("CAP_BPF",)


def map_capabilities(type: int) -> tuple[str, ...]:
    """Return the capabilities that creating a map of *type* asks for."""
    return ("CAP_BPF", "CAP_NET_ADMIN") if type in _NETWORK_MAPS else ("CAP_BPF",)


def explain_eperm(
    call: str,
    what: str,
    needs: tuple[str, ...],
    *,
    errno: int = EPERM,
    advice: str = "",
    **evidence: Any,
) -> KernelError:
    """Make the exception for *call* having been forbidden (EPERM or EACCES).

    *what* is what was being done, as the subject of a sentence ("loading program 'x'"); *needs*
    the capabilities it asks for. When some are missing it is a `PrivilegeError` that names all
    of *needs* and the command line to use; its `capability` is the first missing one and
    `missing` all of them. When none is, a `KernelError` that names the other suspects. *advice*
    is one more thing that would help, added to the hint.
    """
    absent = missing(needs)
    namespaced = in_user_namespace()
    evidence = {"call": call, "needs": needs, "missing": absent} | evidence
    if absent or namespaced:
        message = f"{what} needs {_listing(needs)}"
        if not absent:
            message += " of the initial user namespace, and this process runs in another one"
        hint = f"run it as root: {command_line()}; or in a systemd unit: AmbientCapabilities="
        hint += " ".join(needs)
        if namespaced:
            hint = "run it outside the container's user namespace, or give it a BPF token"
        if advice:
            hint += f"; or {advice}"
        return PrivilegeError(
            message, errno=errno, capability=(absent or needs)[0], hint=hint, **evidence
        )
    suspects = ", ".join(_suspects())
    message = f"{what} is forbidden though the process has {_listing(needs)}"
    return KernelError(message, errno=errno, hint=f"{suspects} may forbid it", **evidence)


def explain_program(type: int, what: str, *, errno: int = EPERM) -> KernelError:
    """`explain_eperm` for BPF_PROG_LOAD of a program of *type*; *what* is "loading program x"."""
    needs = program_capabilities(type)
    kind = name_of(ProgramType, type)
    return explain_eperm("BPF_PROG_LOAD", what, needs, errno=errno, kind=kind)


def _listing(names: tuple[str, ...]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _suspects() -> list[str]:
    """Name what else may forbid bpf(2) to a process that has the capabilities."""
    found = []
    status = _read("/proc/self/status")
    if "\nSeccomp:\t0" not in status:
        found.append("a seccomp filter (a container runtime's)")
    lockdown = _read("/sys/kernel/security/lockdown")
    levels = ("integrity", "confidentiality")
    found += [f"kernel lockdown ({level})" for level in levels if f"[{level}]" in lockdown]
    modules = _read("/sys/kernel/security/lsm").strip().split(",")
    found += [name for name in ("selinux", "apparmor", "smack", "tomoyo") if name in modules]
    return [*found, "how this kernel was built"]


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def command_line() -> str:
    """Return the command as typed, with sudo before it: "sudo skep runqlat -m"."""
    import shlex
    import sys

    typed = list(sys.orig_argv)
    if len(typed) > 1 and "-c" in typed[1:-1]:
        return "sudo " + shlex.join([*typed[: typed.index("-c")], "-c", "..."])
    script = sys.argv[0] if sys.argv else ""
    if script and "-m" not in typed[1:2] and script in typed and _runs_itself(script):
        # An installed command: its name suffices when sudo's own PATH finds the same file.
        after = typed[typed.index(script) + 1 :]
        return "sudo " + shlex.join([_for_sudo(script), *after])
    return "sudo " + shlex.join([sys.executable or "python3", *typed[1:]])


def _runs_itself(script: str) -> bool:
    """Whether *script* is a command rather than an argument of python: "python prog.py"."""
    import os

    return not os.path.isfile(script) or os.access(script, os.X_OK)


def _for_sudo(script: str) -> str:
    import os

    directory, name = os.path.split(os.path.abspath(script))
    if directory in ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"):
        return name
    return os.path.join(directory, name)
