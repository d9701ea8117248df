"""Why a bpf(2) command failed, in words. Imported only when one does."""

from __future__ import annotations

from errno import (
    E2BIG,
    EACCES,
    EBADF,
    EBUSY,
    EEXIST,
    EINVAL,
    ENODEV,
    ENOENT,
    ENOMEM,
    ENOSPC,
    ENOSYS,
    ENOTSUP,
    EPERM,
)
from typing import TYPE_CHECKING, Any

from skep.errors import ClosedError, KernelError
from skep.kernel import capabilities
from skep.kernel.constants import Command
from skep.kernel.syscall import error_text

if TYPE_CHECKING:
    from skep.kernel.fd import FD

ENOTSUPP = 524
"""The kernel's internal "not supported", which bpf(2) lets out; no libc has a name for it."""

# What the command was doing, as the start of a sentence about `what`.
_DOING = {
    Command.MAP_CREATE: "creating {}",
    Command.MAP_LOOKUP_ELEM: "looking up a key in {}",
    Command.MAP_UPDATE_ELEM: "storing into {}",
    Command.MAP_DELETE_ELEM: "deleting from {}",
    Command.MAP_GET_NEXT_KEY: "walking the keys of {}",
    Command.MAP_LOOKUP_AND_DELETE_ELEM: "taking a key out of {}",
    Command.MAP_FREEZE: "freezing {}",
    Command.MAP_LOOKUP_BATCH: "reading {} in batches",
    Command.MAP_LOOKUP_AND_DELETE_BATCH: "draining {} in batches",
    Command.MAP_UPDATE_BATCH: "storing a batch into {}",
    Command.MAP_DELETE_BATCH: "deleting a batch from {}",
    Command.PROG_LOAD: "loading {}",
    Command.PROG_ATTACH: "attaching {}",
    Command.PROG_DETACH: "detaching {}",
    Command.PROG_TEST_RUN: "test-running {}",
    Command.BTF_LOAD: "loading {}",
    Command.OBJ_PIN: "pinning {}",
    Command.OBJ_GET: "opening the pinned object {}",
    Command.PROG_GET_NEXT_ID: "listing {}",
    Command.MAP_GET_NEXT_ID: "listing {}",
    Command.BTF_GET_NEXT_ID: "listing {}",
    Command.LINK_GET_NEXT_ID: "listing {}",
    Command.OBJ_GET_INFO_BY_FD: "asking about {}",
    Command.RAW_TRACEPOINT_OPEN: "attaching {}",
    Command.LINK_CREATE: "attaching {}",
    Command.LINK_UPDATE: "swapping the program of {}",
    Command.LINK_DETACH: "detaching {}",
    Command.ITER_CREATE: "starting {}",
    Command.ENABLE_STATS: "switching on {}",
    Command.PROG_BIND_MAP: "binding a map to {}",
    Command.TOKEN_CREATE: "making {}",
}

_NOT_BPFFS = "is the directory on a bpf file system? mount -t bpf bpf /sys/fs/bpf"

# (command, errno) -> (what it means, what to do)
_MEANING: dict[tuple[Command, int], tuple[str, str]] = {
    (Command.MAP_CREATE, EINVAL): (
        "the kernel refuses its type, sizes, entries or flags",
        "does this kernel know the map type, and are key size, value size and entries allowed?",
    ),
    (Command.MAP_CREATE, E2BIG): (
        "a size is beyond the kernel's limit",
        "lower max_entries or the value size",
    ),
    (Command.MAP_CREATE, ENOMEM): ("the kernel has not enough memory", "lower max_entries"),
    (Command.MAP_UPDATE_ELEM, E2BIG): (
        "the map is full, or the index lies past its end",
        "raise max_entries, or use an LRU map",
    ),
    (Command.MAP_UPDATE_ELEM, EEXIST): ("the key exists already", ""),
    (Command.MAP_UPDATE_ELEM, ENOENT): ("there is no such key", ""),
    (Command.MAP_UPDATE_ELEM, EPERM): ("the map is frozen or opened read-only", ""),
    (Command.MAP_UPDATE_BATCH, E2BIG): (
        "the map is full, or an index lies past its end",
        "raise max_entries, or use an LRU map",
    ),
    (Command.MAP_UPDATE_BATCH, EPERM): ("the map is frozen or opened read-only", ""),
    (Command.MAP_DELETE_ELEM, EINVAL): ("entries of this kind of map cannot be deleted", ""),
    (Command.MAP_DELETE_ELEM, EPERM): ("the map is frozen or opened read-only", ""),
    (Command.MAP_LOOKUP_ELEM, EPERM): ("the map is opened write-only", ""),
    # Linux 6.1 says EBUSY for both; newer ones EPERM for a map that is frozen.
    (Command.MAP_FREEZE, EBUSY): ("it is frozen already, or mapped writable", ""),
    (Command.MAP_FREEZE, EPERM): ("it is frozen already, or opened read-only", ""),
    (Command.PROG_LOAD, EACCES): ("the verifier refuses it", "the verifier's log says why"),
    (Command.PROG_LOAD, EINVAL): (
        "the verifier or the kernel's checks before it refuse it",
        "the verifier's log says why, or the program type or a flag is new to this kernel",
    ),
    (Command.PROG_LOAD, E2BIG): (
        "it is too large or too complex for the verifier",
        "the verifier's log says where it gave up",
    ),
    (Command.PROG_LOAD, ENOSPC): ("the log buffer is too small for the verifier's log", ""),
    (Command.PROG_TEST_RUN, ENOTSUPP): ("programs of this kind cannot be test-run", ""),
    (Command.PROG_TEST_RUN, ENOSPC): ("an output is larger than the buffer given for it", ""),
    (Command.RAW_TRACEPOINT_OPEN, ENOENT): ("the kernel has no tracepoint of this name", ""),
    (Command.LINK_CREATE, EEXIST): ("something is attached there already", ""),
    (Command.LINK_CREATE, EBUSY): ("something is attached there already", ""),
    (Command.LINK_CREATE, EINVAL): (
        "the kernel does not take this kind of program there",
        "or it is older than this kind of link",
    ),
    (Command.LINK_DETACH, ENOTSUP): ("this kind of link detaches when it is closed", ""),
    (Command.OBJ_PIN, EPERM): ("this path cannot hold it", _NOT_BPFFS),
    (Command.OBJ_PIN, EEXIST): ("the path exists already", ""),
    (Command.OBJ_PIN, ENOENT): ("the directory does not exist", ""),
    (Command.OBJ_GET, ENOENT): ("there is no such file", ""),
    (Command.OBJ_GET, EACCES): ("it is not a pinned bpf object, or reading it is forbidden", ""),
    (Command.OBJ_GET_INFO_BY_FD, EBADF): ("it is no bpf object", ""),
    (Command.ENABLE_STATS, EBUSY): ("it is on for good already (sysctl)", ""),
    (Command.MAP_GET_FD_BY_ID, ENOENT): ("there is no such map (any more)", ""),
    (Command.PROG_GET_FD_BY_ID, ENOENT): ("there is no such program (any more)", ""),
    (Command.LINK_GET_FD_BY_ID, ENOENT): ("there is no such link (any more)", ""),
    (Command.BTF_GET_FD_BY_ID, ENOENT): ("there is no such BTF (any more)", ""),
}

_GENERAL = {
    ENOSYS: ("this kernel has no bpf(2)", "it needs CONFIG_BPF_SYSCALL, and no seccomp filter"),
    ENODEV: ("there is no such device", ""),
    ENOTSUP: ("this kernel was built without support for it", ""),
    ENOTSUPP: ("this kernel does not support it for this kind of object", ""),
}

# Commands that look at privileges themselves; the others were given a descriptor that says what
# may be done with it, so EPERM there means something else.
_SYS_ADMIN = ("CAP_SYS_ADMIN",)
_PRIVILEGED: dict[Command, tuple[str, ...]] = {
    Command.BTF_LOAD: ("CAP_BPF",),
    Command.PROG_BIND_MAP: ("CAP_BPF",),
    Command.ENABLE_STATS: _SYS_ADMIN,
    Command.PROG_GET_NEXT_ID: _SYS_ADMIN,
    Command.MAP_GET_NEXT_ID: _SYS_ADMIN,
    Command.BTF_GET_NEXT_ID: _SYS_ADMIN,
    Command.LINK_GET_NEXT_ID: _SYS_ADMIN,
    Command.PROG_GET_FD_BY_ID: _SYS_ADMIN,
    Command.MAP_GET_FD_BY_ID: _SYS_ADMIN,
    Command.BTF_GET_FD_BY_ID: _SYS_ADMIN,
    Command.LINK_GET_FD_BY_ID: _SYS_ADMIN,
    Command.LINK_CREATE: ("CAP_BPF", "CAP_PERFMON"),
    Command.RAW_TRACEPOINT_OPEN: ("CAP_BPF", "CAP_PERFMON"),
    Command.PROG_ATTACH: ("CAP_NET_ADMIN",),
    Command.PROG_DETACH: ("CAP_NET_ADMIN",),
}


def describe(command: int, what: str, code: int, **evidence: Any) -> KernelError:
    """Make the exception for *command* on *what* failing with errno *code*.

    A `PrivilegeError` when a capability the command needs is missing, else a `KernelError`; both
    carry `call` ("BPF_MAP_CREATE"), `errno` and *evidence*.
    """
    kind = Command(command)
    call = f"BPF_{kind.name}"
    doing = _DOING.get(kind, "opening {}").format(what)
    if code == EPERM:
        needs = _needs(kind, evidence)
        if needs:
            return capabilities.explain_eperm(call, doing, needs, errno=code, **evidence)
    meaning, hint = _MEANING.get((kind, code)) or _GENERAL.get(code) or ("", "")
    reason = f"{meaning} [{_errno_name(code)}]" if meaning else error_text(code)
    return KernelError(f"{doing} failed: {reason}", errno=code, call=call, hint=hint, **evidence)


def gone(fd: FD, code: int) -> ClosedError | None:
    """Return the error for a call under way while another thread closed *fd*; None otherwise.

    Its number then stands for nothing (`FD.retire`), which the kernel answers with EBADF.
    """
    if code != EBADF or not fd.closed:
        return None
    return ClosedError(f"{fd.what} is closed", hint="another thread closed it during the call")


def _needs(command: Command, evidence: dict[str, Any]) -> tuple[str, ...]:
    if command == Command.PROG_LOAD:
        return capabilities.program_capabilities(evidence.get("type", 0))
    if command == Command.MAP_CREATE:
        return capabilities.map_capabilities(evidence.get("type", 0))
    return _PRIVILEGED.get(command, ())


def _errno_name(code: int) -> str:
    import errno

    return "ENOTSUPP" if code == ENOTSUPP else errno.errorcode.get(code, str(code))
