"""`MapSpec`: a map as plain data, before any kernel is involved, and how it is created."""

from __future__ import annotations

import errno

from skep.errors import KernelError, PrivilegeError, RangeError
from skep.kernel.constants import MapType
from skep.maps import kinds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Literal, Self

    from skep.btf.btf import Btf
    from skep.kernel.fd import FD
    from skep.maps.map import Map

NAME_LENGTH = 15
"""BPF_OBJ_NAME_LEN less its NUL (include/uapi/linux/bpf.h)."""

PIN_ROOT = "/sys/fs/bpf"


def kernel_name(name: str) -> str:
    """Return *name* as the kernel takes it: at most 15 of ``[A-Za-z0-9_.]``.

    The kernel refuses anything else with EINVAL (``bpf_obj_name_cpy``), so a foreign character
    becomes ``_``.
    """
    if name.isidentifier() and name.isascii():
        return name[:NAME_LENGTH]
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "_.") else "_" for c in name)
    return plain[:NAME_LENGTH]


class MapSpec:
    """A map as plain data. Every attribute may be changed until `create()`.

    Sizes are in bytes. *type* is a `MapType` or its number; *flags* are `MapFlags`.
    *key_type_id* and *value_type_id* are type ids in *btf* (0 = not declared); on a ring buffer
    the value type names the record and is not given to the kernel. *contents* is the initial
    value of a data-section map, *frozen* makes it read-only to user space after that.
    *initial* is a list of ``(index, symbol name)`` for program arrays and arrays of maps, resolved
    by the loader; for a data section, of the addresses in it, which nothing fills in. *tags* are
    the declaration tags of the variable (`btf_decl_tag`). Not thread-safe; share copies.
    """

    __slots__ = (
        "autocreate",
        "btf",
        "contents",
        "extra",
        "flags",
        "frozen",
        "initial",
        "inner",
        "key_size",
        "key_type_id",
        "max_entries",
        "name",
        "numa_node",
        "pinning",
        "tags",
        "type",
        "value_size",
        "value_type_id",
    )

    def __init__(
        self,
        *,
        name: str,
        type: int,
        key_size: int = 0,
        value_size: int = 0,
        max_entries: int = 0,
        flags: int = 0,
        extra: int = 0,
        numa_node: int = 0,
        pinning: Literal["none", "by_name"] = "none",
        btf: Btf | None = None,
        key_type_id: int = 0,
        value_type_id: int = 0,
        inner: MapSpec | None = None,
        contents: bytearray | None = None,
        frozen: bool = False,
        initial: Sequence[tuple[int, str]] = (),
        autocreate: bool = True,
        tags: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.type = type
        self.key_size = key_size
        self.value_size = value_size
        self.max_entries = max_entries
        self.flags = flags
        self.extra = extra
        self.numa_node = numa_node
        self.pinning = pinning
        self.btf = btf
        self.key_type_id = key_type_id
        self.value_type_id = value_type_id
        self.inner = inner
        self.contents = contents
        self.frozen = frozen
        self.initial = list(initial)
        self.autocreate = autocreate
        self.tags = tuple(tags)

    def __repr__(self) -> str:
        sizes = f"{self.key_size} -> {self.value_size} bytes, {kinds.entries(self.max_entries)}"
        return f"<MapSpec {self.name!r} {kinds.type_name(self.type)}: {sizes}>"

    def copy(self, **changes: Any) -> Self:
        """Return a copy with *changes* applied; `btf` is shared, `contents` and `inner` are not."""
        values = {name: getattr(self, name) for name in MapSpec.__slots__}
        if self.inner is not None:
            values["inner"] = self.inner.copy()
        if self.contents is not None:
            values["contents"] = bytearray(self.contents)
        return type(self)(**{**values, **changes})

    def create(
        self, *, btf_fd: FD | None = None, pin_root: str = PIN_ROOT, token: FD | None = None
    ) -> Map:
        """Create the map in the kernel, fill in `contents`, freeze it if asked; return it live.

        *btf_fd* is `btf` loaded into the kernel; without it the map has no type information
        there (the returned `Map` is typed all the same). Where the kernel refuses the types of
        a map, the map is created again without them, as libbpf does. With ``pinning="by_name"``
        an existing pin ``<pin_root>/<name>`` of the same shape is opened instead. *token* delegates
        the right to create it.

        Raises `LoadError` naming the map, `PrivilegeError` without CAP_BPF, and `RangeError` when
        `contents` has the wrong length.
        """
        from skep.maps.map import Map

        arena = self.type == MapType.ARENA
        if self.contents is not None and len(self.contents) != self.value_size and not arena:
            message = (
                f"map {self.name!r} has {len(self.contents)} bytes of contents, "
                f"expected its value size, {self.value_size}"
            )
            raise RangeError(message)
        path = f"{pin_root}/{self.name}"
        if self.pinning == "by_name":
            from skep.maps.pins import open_compatible

            pinned = open_compatible(path, self)
            if pinned is not None:
                return Map(pinned, self)
        spec = self if self.max_entries else self.copy(max_entries=self._default_entries())
        live = Map(spec.create_bare(btf_fd, token), spec)
        try:
            if arena:
                live.memory()  # the kernel wants to know its address before it loads programs
            if self.contents is not None and any(self.contents):
                live.write_contents(bytes(self.contents))
            if self.frozen:
                live.freeze()
            if self.pinning == "by_name":
                live.pin(path)
        except BaseException:
            live.close()
            raise
        return live

    def create_bare(self, btf_fd: FD | None, token: FD | None = None) -> FD:
        """Create the map and nothing more; types only where the kernel takes them."""
        from skep.kernel import bpf

        inner = self.inner.create_bare(btf_fd, token) if self.inner is not None else None
        try:
            typed = btf_fd is not None and (self.key_type_id or self.value_type_id)
            ring = self.type in kinds.RINGS
            plain: dict[str, Any] = {
                "type": self.type,
                "key_size": 0 if ring else self.key_size,
                "value_size": 0 if ring else self.value_size,
                "max_entries": self.max_entries or self._default_entries(),
                "flags": int(self.flags),
                "name": kernel_name(self.name),
                "inner_map_fd": inner,
                "numa_node": self.numa_node,
                "map_extra": self.extra,
                "token_fd": token,
            }
            if typed and self.type not in kinds.NO_TYPES:
                types: dict[str, Any] = {
                    "btf_fd": btf_fd,
                    "btf_key_type_id": self.key_type_id,
                    "btf_value_type_id": self.value_type_id,
                }
                try:
                    return bpf.map_create(**plain, **types)
                except KernelError as error:
                    # Types are an extra: a kernel that refuses these (EINVAL, ENOTSUPP) or this
                    # user (EPERM from an older kernel) may well take the map without them.
                    if error.errno not in (errno.EINVAL, errno.EPERM, errno.ENOTSUP, 524):
                        raise
            try:
                return bpf.map_create(**plain)
            except KernelError as error:
                if error.errno not in (errno.EINVAL, errno.E2BIG) or _takes_names():
                    raise
                return bpf.map_create(**{**plain, "name": ""})
        except PrivilegeError:
            raise
        except KernelError as error:
            from skep.maps.failure import refused

            raise refused(self, error) from error
        finally:
            if inner is not None:
                inner.close()

    def _default_entries(self) -> int:
        """Return the entries that ``max_entries`` 0 stands for."""
        if self.type not in kinds.PER_CPU_ENTRIES:
            return 0
        from skep.kernel.cpus import possible_cpus

        return possible_cpus()


def _takes_names() -> bool:
    """Whether the kernel knows names of maps (Linux 4.15)."""
    from skep.kernel.features import available

    return available("object_names")
