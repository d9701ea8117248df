"""`StructOpsMap`: STRUCT_OPS maps, a kernel interface that programs implement.

Source: kernel/bpf/bpf_struct_ops.c and include/linux/bpf.h ``struct bpf_struct_ops_common_value``,
Linux 6.18.
"""

from __future__ import annotations

from skep.generic import Generic, V
from skep.maps.map import Map

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from skep.btf.btf import Btf
    from skep.maps.cells import Cells

STATES = ("init", "in use", "to be freed", "ready")
"""The states of a struct by number (``enum bpf_struct_ops_state``)."""


class StructOpsMap(Map[int, V], Generic[V]):
    """A live struct of operations.

    The only key is 0. Its value is a record of the kernel's own struct ``bpf_struct_ops_X``:
    ``common`` (`state` and `refcount` are the same; on older kernels, such as 6.1, its members are
    the record's own) and ``data``, the struct X as it was stored, in which functions are the ids
    of the programs that implement them. There is none before it is stored, that is attached, or
    loaded when a link will attach it.

    Attaching is done by `Object.attach()`. ``del m[0]`` takes away what was attached without a
    link, which otherwise outlives the process; with a link, close the link.
    """

    __slots__ = ()

    def _make_cells(self) -> Cells:
        from skep.maps.cells import Cells

        spec = self.spec
        if spec.btf is not None and spec.value_type_id:
            return Cells(spec)
        from skep.btf.codec import codec

        btf, type_id = self._kernel_type()
        spec.btf, spec.value_type_id = btf, type_id
        return Cells(spec, value=codec(btf, type_id))

    def _kernel_type(self) -> tuple[Btf, int]:
        """Return the BTF, of the kernel or a module, and the id of the value's type in it."""
        from skep.btf.kernel import own_btf
        from skep.btf.modules import module_btf
        from skep.kernel import bpf

        info, kernel = self.info, own_btf()
        if not info.btf_vmlinux_id:  # a kernel from before modules could have such structs
            return kernel, info.btf_vmlinux_value_type_id
        with bpf.fd_by_id("btf", info.btf_vmlinux_id) as fd:
            name = bpf.btf_info(fd).name
        btf = kernel if name == "vmlinux" else module_btf(name, kernel)
        return btf, info.btf_vmlinux_value_type_id

    # What is read before anything is stored is not an error but zeros, with the state "init"
    # (``bpf_struct_ops_map_sys_lookup_elem``): here it is no value.

    def __getitem__(self, key: int) -> V:
        value: Any = self.get(key)
        if value is None:
            raise self._missing(key)
        found: V = value
        return found

    def get(self, key: int, default: Any = None, *, lock: bool = False) -> Any:
        """Return the record under *key*, which is 0, or *default* when nothing is stored."""
        value: Any = super().get(key, lock=lock)
        return default if value is None or not _common(value).state else value

    def __contains__(self, key: object) -> bool:
        return self.get(key) is not None  # type: ignore[arg-type]

    @property
    def state(self) -> str:
        """What has become of it: one of `STATES`."""
        value = self.get(0)
        return STATES[0 if value is None else int(_common(value).state)]

    @property
    def refcount(self) -> int:
        """How many uses the kernel counts, registration included; 0 when there is no value."""
        value = self.get(0)
        return 0 if value is None else int(_common(value).refcnt.refs.counter)

    def __iter__(self) -> Iterator[int]:
        if 0 in self:
            yield 0

    def items(self) -> Iterator[tuple[int, V]]:
        """Iterate over (0, value), when there is one."""
        value = self.get(0)
        if value is not None:
            yield 0, value

    def values(self) -> Iterator[V]:
        """Iterate over the value, when there is one."""
        for pair in self.items():
            yield pair[1]

    def count(self) -> int:
        """Return 1, or 0 when nothing is stored."""
        return int(0 in self)


def _common(value: Any) -> Any:
    """Return where a record has its state and count: in `common`, or on older kernels itself."""
    return value.common if "common" in value._fields else value
