"""The part of the diagnosis about where a map is and who may have it."""

from __future__ import annotations

import errno
import os

from skep.errors import KernelError, NotFoundError, PrivilegeError, SkepError
from skep.kernel import descriptors, mounts
from skep.kernel.constants import MapFlags, MapType
from skep.maps.diagnose import Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from skep.maps.map import Map
    from skep.maps.system.sides import View

_PIDS = frozenset({"pid", "tgid", "tid", "ppid"})


def absence(text: str, error: SkepError) -> list[Finding]:
    """Say why the map that *text* means could not be opened; *error* is what opening it raised.

    Raises *error* again when it is none of the reasons known.
    """
    from skep.maps.system.listing import meaning

    kind, word = meaning(text)
    if isinstance(error, PrivilegeError):
        needs = error.missing or error.needs or (error.capability,)
        return [Finding("privilege", error.message, hint=error.hint, missing=list(needs))]
    if kind == "pin":
        return _no_pin(word, error)
    if isinstance(error, NotFoundError):
        ids = error.evidence.get("ids") or ()
        code = "ambiguous" if ids else "gone"
        return [Finding(code, error.message, hint=_kept(error.hint, code), ids=list(ids))]
    raise error


def _kept(hint: str, code: str) -> str:
    from skep.maps.diagnose import REASONS

    return f"{hint}; {REASONS[code].remedy}" if hint and code == "gone" else hint


def _no_pin(path: str, error: SkepError) -> list[Finding]:
    if isinstance(error, NotFoundError):
        return [Finding("gone", error.message, path=path)]
    if not isinstance(error, KernelError):
        raise error
    full = os.path.abspath(path)
    kind = mounts.kind_at(full)
    if error.errno == errno.EACCES and kind == "bpf":
        text = f"{path} may not be opened: its owner and mode do not allow it"
        hint = "run as its owner or root, or change the mode of the pin: chmod"
        return [Finding("privilege", text, hint=hint, missing=["CAP_DAC_OVERRIDE"], path=path)]
    found = list(_elsewhere(full))
    if kind != "bpf":
        where = f"a {kind} file system" if kind else "no file system that is known"
        text = f"{path} is on {where}, not on a bpf file system, so no map is pinned there"
        hint = "mount -t bpf bpf /sys/fs/bpf" if not found else ""
        return [*found, Finding("not-bpffs", text, hint=hint, path=path, kind=kind)]
    if found:
        return found
    if error.errno == errno.ENOENT:
        return [Finding("gone", error.message, hint=_kept(error.hint, "gone"), path=path)]
    raise error


def _elsewhere(path: str) -> Iterator[Finding]:
    """Say in which other mount namespaces the pin is."""
    for pid in mounts.other_namespaces("mnt"):
        try:
            there = os.stat(f"/proc/{pid}/root{path}")
        except OSError:
            continue
        kinds = {one.device: one.kind for one in mounts.mounts(pid)}
        if kinds.get(there.st_dev) == "bpf":
            text = f"{path} is pinned in the mount namespace of process {pid}, not in this one"
            hint = f"nsenter -t {pid} -m skep map check {path}"
            yield Finding("namespace", text, hint=hint, pid=pid, path=path)


def access(map: Map, path: str) -> Iterator[Finding]:
    """Say what may not be done with the map through this descriptor, and by its programs."""
    facts = descriptors.facts(map.fd)
    mode = int(facts.get("flags", "02"), 8) & os.O_ACCMODE
    where = f"the pin {path}" if path else "this descriptor"
    if mode == os.O_RDONLY:
        yield Finding("read-only", f"{where} may only read: an update is EPERM", mode="read")
    elif mode == os.O_WRONLY:
        yield Finding("write-only", f"{where} may only write: a lookup is EPERM", mode="write")
    if facts.get("frozen") == "1":
        yield Finding("frozen", "it is frozen: user space may not write it, an update is EPERM")
    flags = map.spec.flags
    devices = map.spec.type in (MapType.DEVMAP, MapType.DEVMAP_HASH)  # the kernel's own doing
    if flags & MapFlags.RDONLY_PROG and not devices:
        text = "its programs may only read it (rdonly_prog)"
        yield Finding("read-only", text, hint="that is how constants are", mode="programs read")
    if flags & MapFlags.WRONLY_PROG:
        text = "its programs may only write it (wronly_prog)"
        yield Finding("read-only", text, hint="only user space reads it", mode="programs write")


def namespaces(view: View) -> Iterator[Finding]:
    """Say where numbers in the map are not those of this process's namespaces."""
    own = mounts.namespace("pid")
    members = [
        path.rpartition(".")[2]
        for side in (view.key, view.value)
        if side is not None
        for path, _ in side.shape.leaves(side.role)
    ]
    if own and own != mounts.INITIAL["pid"] and _PIDS.intersection(members):
        text = "this process is in a pid namespace, and programs store the ids of the initial one"
        yield Finding("pid-namespace", text)
