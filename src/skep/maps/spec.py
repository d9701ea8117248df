"""`MapSpec`: a map as plain data, before any kernel is involved, and how it is created."""

from __future__ import annotations

from skep.maps import kinds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Literal, Self

    from skep.btf.btf import Btf
    from skep.errors import SkepError
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

    *type* is a `MapType`, its number, or its name ("hash"). *key* and *value* describe the types in
    Python, see `skep.btf.declare`: a C name ("u32", "char[16]"), a ctypes class, a NumPy dtype, a
    `Record` subclass or a dataclass; they give `btf`, the type ids and the sizes.

    Sizes are in bytes, *flags* are `MapFlags`.
    *key_type_id* and *value_type_id* are type ids in *btf* (0 = not declared); on a ring buffer
    the value type names the record and is not given to the kernel. *contents* is the initial
    value of a data-section map, *frozen* makes it read-only to user space after that.
    *initial* is a list of ``(index, symbol name)`` for program arrays and arrays of maps, resolved
    by the loader; for a data section, of the addresses in it, which nothing fills in. *tags* are
    the declaration tags of the variable (`btf_decl_tag`). *untyped* is, for a live map, why `btf`
    is None although the kernel has its types: reading them was refused. Not thread-safe; share
    copies.
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
        "untyped",
        "value_size",
        "value_type_id",
    )

    def __init__(
        self,
        *,
        name: str,
        type: int | str,
        key: Any = None,
        value: Any = None,
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
        untyped: SkepError | None = None,
    ) -> None:
        self.name = name
        self.type: int = kinds.type_called(type) if isinstance(type, str) else type
        if key is not None or value is not None:
            from skep.btf.declare import declare

            btf, key_type_id, value_type_id = declare(key, value, f"map {name!r}")
            key_size = btf.size_of(key_type_id) if key_type_id else key_size
            value_size = btf.size_of(value_type_id) if value_type_id else value_size
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
        self.untyped = untyped

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

        The result has the class for its type: a `Queue` for a queue. *btf_fd* is `btf` loaded into
        the kernel, which is done here when it is not given. Where the kernel refuses the types of
        a map, the map is created without them (and the returned one is typed all the same). With
        ``pinning="by_name"`` an existing pin ``<pin_root>/<name>`` of the same shape is opened
        instead. *token* delegates the right to create it.

        Raises `LoadError` naming the map, `PrivilegeError` without CAP_BPF, `RangeError` when
        `contents` has the wrong length, and what `Map.pin` raises.
        """
        from skep.maps.creation import create

        return create(self, btf_fd, pin_root, token)
