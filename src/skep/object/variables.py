"""Global variables of an object: as data in the spec, before anything is loaded."""

from __future__ import annotations

from _collections_abc import Mapping  # collections.abc imports all of collections: 2 ms

from skep.btf import types as t
from skep.errors import NotFoundError, RangeError, TypeMismatchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from skep.btf.btf import Btf
    from skep.btf.codec import Codec
    from skep.maps.spec import MapSpec


class VariableSpec:
    """One variable: `size` bytes at `offset` of the data section `section`, of type `type_id`.

    `value` reads and writes its initial value, typed by BTF.
    """

    __slots__ = ("_btf", "_map", "_var_id", "name", "offset", "section", "size", "type_id")

    def __init__(
        self, name: str, map: MapSpec, btf: Btf, variable: t.Var, offset: int, size: int
    ) -> None:
        self.name = name
        self.section = map.name
        self.offset = offset
        self.size = size
        self.type_id = variable.type_id
        self._var_id = variable.id
        self._map = map
        self._btf = btf

    def __repr__(self) -> str:
        return f"<VariableSpec {self.name!r} in {self.section!r} at {self.offset}>"

    @property
    def constant(self) -> bool:
        """Whether it is in a read-only section: it can be set here, and never after `load()`."""
        return self._map.frozen

    @property
    def btf(self) -> Btf:
        """The types that `type_id` is a number in."""
        return self._btf

    @property
    def codec(self) -> Codec:
        """The codec of its type; `UnsupportedError` or `BtfError` for a type that has none."""
        from skep.btf.codec import codec

        return codec(self._btf, self._var_id)  # which may be tagged, as its type may

    @property
    def value(self) -> Any:
        """The initial value. Setting raises `TypeMismatchError` or `RangeError`."""
        contents = self._map.contents
        assert contents is not None
        return self.codec.unpack(contents, self.offset)

    @value.setter
    def value(self, value: Any) -> None:
        contents = self._map.contents
        assert contents is not None
        try:
            packed = self.codec.pack(value)
        except (TypeMismatchError, RangeError) as error:
            from skep.maps.failure import misfit_of_variable

            raise misfit_of_variable(error, self.name) from None
        contents[self.offset : self.offset + len(packed)] = packed


class Variables(Mapping[str, VariableSpec]):
    """The variables of an object by name. ``variables["min_us"] = 100`` sets an initial value."""

    __slots__ = ("_by_name", "_object")

    def __init__(self, by_name: dict[str, VariableSpec], object_name: str) -> None:
        self._by_name = by_name
        self._object = object_name

    def __getitem__(self, name: str) -> VariableSpec:
        found = self._by_name.get(name)
        if found is None:
            raise unknown_name(name, self._by_name, "variable", self._object)
        return found

    def __setitem__(self, name: str, value: Any) -> None:
        self[name].value = value

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def get(self, name: str, default: Any = None) -> Any:
        """Return the variable called *name*, or *default* when there is none."""
        return self._by_name.get(name, default)

    def __repr__(self) -> str:
        return f"<Variables of {self._object}: {', '.join(self._by_name) or 'none'}>"


def read_variables(maps: Mapping[str, MapSpec], btf: Btf | None, object_name: str) -> Variables:
    """List the variables of all data sections in *maps*, each bounds-checked."""
    found: dict[str, VariableSpec] = {}
    for spec in maps.values():
        if spec.contents is None or btf is None or not spec.value_type_id:
            continue
        section = btf.type(spec.value_type_id)
        if not isinstance(section, t.DataSec):
            continue
        for var_id, offset, size in section.variables:
            variable = btf.type(var_id)
            if not isinstance(variable, t.Var) or offset + size > len(spec.contents):
                continue
            if size != btf.size_of(variable.type_id):
                continue  # cut short or padded: no typed access
            name = variable.name
            found.setdefault(name, VariableSpec(name, spec, btf, variable, offset, size))
    return Variables(found, object_name)


def unknown_name(name: str, known: Mapping[str, Any], kind: str, object_name: str) -> NotFoundError:
    """Make the error for a *kind* ("map") called *name* that the object does not have."""
    from difflib import get_close_matches

    # What a user declared: not the data sections, nor the ledgers that come with ring buffers.
    own = [each for each in known if kind != "map" or not _is_made(each, known)]
    close = get_close_matches(name, own, 3, 0.6) or get_close_matches(name, known, 3, 0.6)
    close = close or sorted(own)[:8]
    hint = f"there {'is' if len(close) == 1 else 'are'} {', '.join(close)}"
    if not close:
        hint = f"it has no {kind}s"
    message = f"{object_name} has no {kind} {name!r}"
    return NotFoundError(message, hint=hint, name=name, where=object_name)


def _is_made(name: str, maps: Mapping[str, Any]) -> bool:
    """Whether the map *name* is a data section or the ledger of another one."""
    from skep.object.ledger import SUFFIX

    return name.startswith(".") or (name.endswith(SUFFIX) and name.removesuffix(SUFFIX) in maps)
