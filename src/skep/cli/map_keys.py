"""Keys on the command line: a value of the key's type, or the object that a storage is about."""

from __future__ import annotations

import sys
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from skep.maps.system.sides import Side, View
    from skep.maps.types.resolve import Held


@contextmanager
def packed_key(view: View, given: str) -> Iterator[bytes]:
    """Give the bytes of the key that *given* means, good until the end of the ``with``.

    A storage's key is a process id, or the path of a file or cgroup, opened meanwhile.
    """
    from skep.maps import kinds

    key = view.keyed()
    if view.map.spec.type not in kinds.STORAGES:
        yield packed_as(given, key, "KEY")
        return
    held = _held(view, given)
    try:
        yield held.fileno().to_bytes(4, sys.byteorder)
    finally:
        held.close()


def _held(view: View, given: str) -> Held:
    from skep.errors import TypeMismatchError, UnsupportedError
    from skep.kernel.constants import MapType
    from skep.maps.types import resolve

    if view.map.spec.type == MapType.TASK_STORAGE:
        word = given.removeprefix("pid:")
        if not (word.isdecimal() and word.isascii()):
            message = f"KEY: expected the id of a process, not {given!r:.60}"
            raise TypeMismatchError(message, expected="the id of a process", given=given)
        return resolve.task(int(word), "KEY")
    if view.map.spec.type == MapType.INODE_STORAGE:
        return resolve.file(given, "KEY")
    if view.map.spec.type == MapType.CGRP_STORAGE:
        return resolve.cgroup(given, "KEY")
    raise UnsupportedError(
        f"KEY: the keys of map {view.map.name!r} are sockets, and this command has none open",
        hint="look it up from the program that has the socket: map[socket]",
        feature="sk_storage by command",
    )


def packed_as(given: str, side: Side, what: str) -> bytes:
    """Return the bytes that the argument *what*, which says *given*, means."""
    from skep.cli.notation import pack

    return pack(given, side, what=what)
