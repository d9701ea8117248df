"""Why a map does not fit into a map of maps. Imported only when the kernel refused one.

Source: kernel/bpf/map_in_map.c ``bpf_map_meta_equal`` and kernel/bpf/arraymap.c
``array_map_meta_equal``, Linux 6.18.
"""

from __future__ import annotations

import os

from skep.errors import KernelError, TypeMismatchError
from skep.kernel import bpf, descriptors
from skep.kernel.constants import MapFlags, MapType
from skep.kernel.fd import FD
from skep.maps import kinds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.kernel.bpf.info import MapInfo
    from skep.maps.types.nested import MapOfMaps

    Difference = tuple[str, str, str]

# How a map may be used from user space is no part of its shape (bpf_map_flags_retain_permanent).
_ACCESS = int(MapFlags.RDONLY | MapFlags.WRONLY)


class Shape:
    """What the kernel compares of the maps inside a map of maps."""

    __slots__ = ("entries", "flags", "key_size", "type", "value_size")

    def __init__(self, type: int, key_size: int, value_size: int, flags: int, entries: int) -> None:
        self.type = int(type)
        self.key_size = key_size
        self.value_size = value_size
        self.flags = int(flags) & ~_ACCESS
        self.entries = entries

    @classmethod
    def of(cls, info: MapInfo) -> Shape:
        """Return the shape of a live map."""
        return cls(info.type, info.key_size, info.value_size, info.flags, info.max_entries)

    def differences(self, given: Shape) -> list[Difference]:
        """Return (what, expected, given) of all in which the shape *given* differs from this."""
        pairs: list[tuple[str, Any, Any]] = [
            ("type", kinds.type_name(self.type), kinds.type_name(given.type)),
            ("key size", self.key_size, given.key_size),
            ("value size", self.value_size, given.value_size),
            ("flags", kinds.flag_names(self.flags), kinds.flag_names(given.flags)),
        ]
        # Programs index arrays without asking for their length, unless told not to (Linux 5.10).
        if self.type == MapType.ARRAY and not self.flags & MapFlags.INNER_MAP:
            pairs.append(("max_entries", self.entries, given.entries))
        return [(what, str(one), str(two)) for what, one, two in pairs if one != two]


def template(outer: MapOfMaps[Any]) -> Shape | None:
    """Return the shape of the maps that *outer* takes; None when nothing tells.

    That of the spec it was made from; of an outer map that was opened by id or pin, that of any
    map in it.
    """
    inner = outer.spec.inner
    if inner is not None:
        return Shape(
            inner.type, inner.key_size, inner.value_size, int(inner.flags), inner.max_entries
        )
    for id in outer.ids().values():
        try:
            with bpf.fd_by_id("map", id) as fd:
                return Shape.of(bpf.map_info(fd))
        except KernelError:
            continue  # gone, or no right to open it
    return None


def refused(outer: MapOfMaps[Any], what: str, number: int, given: Any) -> TypeMismatchError | None:
    """Make the error for the descriptor *number* that *outer* (in words *what*) did not take.

    None when its shape is right or nothing tells what is right.
    """
    evidence: dict[str, Any] = {"given": given, "map": outer.name, "role": "value"}
    try:
        copy = FD(os.dup(number), "the map given")
    except OSError:
        return None
    with copy:
        if descriptors.kind_of(copy) != "map":
            message = f"{what} takes a map, and {given!r:.60} is none"
            return TypeMismatchError(message, expected="a map", **evidence)
        info = bpf.map_info(copy)
    wanted = template(outer)
    if wanted is None:
        return None
    differences = wanted.differences(Shape.of(info))
    if not differences:
        return None
    listed = "; ".join(f"{name} {is_}, expected {want}" for name, want, is_ in differences)
    hint = "create it from the spec's `inner`: outer.spec.inner.copy(name=...).create()"
    if [name for name, _, _ in differences] == ["max_entries"]:
        hint = "give the inner maps the flag BPF_F_INNER_MAP, and their max_entries may differ"
    return TypeMismatchError(
        f"{what} does not take map {info.name!r}: {listed}",
        hint=hint if outer.spec.inner is not None else "",
        expected="; ".join(f"{name} {want}" for name, want, _ in differences),
        differences=differences,
        **evidence,
    )
