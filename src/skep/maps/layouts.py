"""The layouts of a map's key and value, and what there is to say about them."""

from __future__ import annotations

from skep.btf.layout import Layout, layout
from skep.btf.layout_check import Finding, check
from skep.kernel.constants import MapType
from skep.maps import kinds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from skep.btf.layout_check import Role
    from skep.maps.spec import MapSpec

# A filter has no keys: what is looked for in it, byte by byte, is its value.
_SOUGHT = frozenset({MapType.BLOOM_FILTER})
_RECORDS = frozenset({MapType.RINGBUF, MapType.USER_RINGBUF, MapType.PERF_EVENT_ARRAY})


class Part:
    """The key or the value of a map: its `role`, what it is in words, its size, its type id (0)."""

    __slots__ = ("of", "role", "size", "spec", "type_id")

    def __init__(self, spec: MapSpec, role: Role, what: str, size: int, type_id: int) -> None:
        self.spec = spec
        self.role: Role = role
        self.of = f"{what} of map {spec.name!r}"
        self.size = size
        self.type_id = type_id

    def layout(self, arch: str = "", *, expand: bool = True) -> Layout | None:
        """Return its layout; None when no BTF says what it is."""
        btf = self.spec.btf
        return layout(btf, self.type_id, arch, expand=expand) if btf and self.type_id else None

    def check(self) -> list[Finding]:
        """Return what `skep.btf.layout_check.check` finds; nothing when the type is not known."""
        btf = self.spec.btf
        if btf is None or not self.type_id:
            return []
        return check(btf, self.type_id, role=self.role, of=self.of)


def parts(spec: MapSpec) -> Iterator[Part]:
    """Yield the key and the value of *spec*: of a ring its records, of a section its variables."""
    if spec.type in _RECORDS:
        if spec.btf is not None and spec.value_type_id:
            size = spec.btf.size_of(spec.value_type_id)
            yield Part(spec, "record", "record", size, spec.value_type_id)
        return
    if spec.key_size:
        indexed = spec.type in kinds.INDEXED
        role: Role = "value" if indexed else "key"  # an index has no holes
        yield Part(spec, role, "key", spec.key_size, spec.key_type_id)
    if spec.value_size:
        role = "key" if spec.type in _SOUGHT else "value"
        yield Part(spec, role, "value", spec.value_size, spec.value_type_id)


def check_maps(specs: Iterable[MapSpec]) -> list[Finding]:
    """Return what there is to say about the keys, values and records of all *specs*.

    Data sections are left out: nobody but the object's own variables looks into them.
    """
    findings: list[Finding] = []
    for spec in specs:
        if not is_section(spec):
            for part in parts(spec):
                findings += part.check()
    order = ("error", "warning", "note")
    return sorted(findings, key=lambda each: order.index(each.severity))


def is_section(spec: MapSpec) -> bool:
    """Whether *spec* holds a data section (.bss, .rodata)."""
    from skep.btf.types import DataSec

    btf, type_id = spec.btf, spec.value_type_id
    return btf is not None and type_id > 0 and isinstance(btf.type(type_id), DataSec)
