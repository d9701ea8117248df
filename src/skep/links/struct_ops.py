"""`struct_ops`: makes the kernel use a struct of operations.

Either by a link (`.struct_ops.link`, Linux 6.4), which the kernel undoes when it is closed, or by
storing the map's value (`.struct_ops`), which stays until the value is deleted: even when this
process ends, as long as nobody deletes it.
"""

from __future__ import annotations

import errno

from skep.errors import ClosedError, KernelError, UnsupportedError
from skep.kernel import bpf
from skep.kernel.constants import AttachType, MapFlags
from skep.links.failure import attaching
from skep.links.link import Link

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.links.attachable import Attachable
    from skep.maps.map import Map

KEY = bytes(4)
NEEDS = ("CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN")

_MEANING = {
    errno.EEXIST: (
        "something of that name is registered already",
        "change its name, or detach the other one: bpftool struct_ops show",
    ),
    errno.EBUSY: ("it is attached already", "close the other link first"),
    errno.EINVAL: (
        "the kernel finds the struct incomplete or a member invalid",
        "are all functions that it insists on there, and the name set?",
    ),
}


def store(map: Map, value: bytes) -> None:
    """Store the *value* of a struct of operations, descriptors of programs in it, in its *map*.

    The kernel checks it then. A map without the flag LINK is in use from here on. Raises
    `AttachError`, `PrivilegeError`.
    """
    with attaching(_named(map), to="the kernel", needs=NEEDS, meaning=_MEANING):
        bpf.map_update(map.fd, KEY, value)


def struct_ops(map: Map, value: bytes) -> Link:
    """Make the kernel use the struct of operations in *map*, with *value*.

    The value is what `store` takes; for a map that is attached by a link it has been stored.
    Raises `AttachError` (EEXIST when the name is taken, EINVAL when a member is missing),
    `PrivilegeError`, `UnsupportedError`.
    """
    if not map.spec.flags & MapFlags.LINK:
        store(map, value)
        return Registration(map)
    with attaching(_named(map), to="the kernel", needs=NEEDS, meaning=_MEANING):
        fd = bpf.link_create(map.fd, None, AttachType.STRUCT_OPS)
        return Link(fd, _named(map), kind="struct_ops", target=map.name)


def _named(map: Map) -> Attachable:
    # The messages about links want a name and a descriptor, and a map has both.
    return map  # type: ignore[return-value]


class Registration(Link):
    """A struct of operations that the kernel uses since its value was stored.

    Closing it deletes the value, and with it what the kernel registered. Unlike a link it outlives
    a process that does not come to close it.
    """

    __slots__ = ("_map",)

    def __init__(self, map: Map) -> None:
        self._map: Map | None = map
        self.kind, self.target, self.mechanism = "struct_ops", map.name, "map_value"
        self.pid, self.cookies, self.offsets = None, (), ()
        self.program = map.name
        self._pinned = ""
        self._ids = None, 0

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._map is None

    def fileno(self) -> int:
        """Return the map's descriptor."""
        if self._map is None:
            raise ClosedError(f"the {self} is closed")
        return self._map.fileno()

    def update(self, program: Attachable) -> None:
        """Raise `UnsupportedError`: only a link can be given another struct."""
        self.fileno()
        raise UnsupportedError(
            f"the {self} is no link, so the kernel cannot replace it",
            hint='declare it in ".struct_ops.link"',
            feature="BPF_LINK_UPDATE",
            program=program.name,
            target=self.target,
        )

    def pin(self, path: str) -> None:
        """Raise `UnsupportedError`: there is no link to pin."""
        self.fileno()
        raise UnsupportedError(
            f"the {self} is no link, which could be pinned at {path}",
            hint='declare it in ".struct_ops.link"; what is stored outlives the process anyway',
            feature="bpf_link",
        )

    def detach(self) -> None:
        """Detach now, as `close` does."""
        self.close()

    def close(self) -> None:
        """Delete the value, so that the kernel stops using it. Idempotent."""
        map, self._map = self._map, None
        if map is None or map.closed:
            return
        try:
            bpf.map_delete(map.fd, KEY)
        except KernelError as error:
            # EINPROGRESS: deleted before, and still in use by connections.
            if error.errno not in (errno.ENOENT, errno.EINPROGRESS):
                raise

    def __str__(self) -> str:
        return f"registration of struct_ops {self.target!r}"

    def __repr__(self) -> str:
        return f"<skep.Link struct_ops {self.target}{' closed' if self.closed else ''}>"
