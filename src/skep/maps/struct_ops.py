"""`StructOpsSpec`: a struct of operations, a kernel interface implemented by programs.

`SEC(".struct_ops")` holds variables of a kernel's struct such as `struct tcp_congestion_ops`:
numbers and strings as they are, function pointers that point to programs. The kernel keeps such a
variable as the only value of a map of type STRUCT_OPS. What the kernel's own struct looks like is
found out when it is loaded (`skep.object.struct_ops`).
"""

from __future__ import annotations

from _collections_abc import MutableMapping

from skep.btf import types as t
from skep.errors import NotFoundError, TypeMismatchError, UnsupportedError
from skep.kernel.constants import MapFlags, MapType
from skep.maps.spec import MapSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from skep.btf.btf import Btf
    from skep.maps.map import Map


class StructOpsSpec(MapSpec):
    """A struct of operations as plain data: a `MapSpec` whose `members` may be changed.

    `contents` are the struct's bytes as the object declares it, `initial` the programs in it, as
    (byte offset, program). With the flag `MapFlags.LINK` a link attaches it (`.struct_ops.link`,
    Linux 6.4), without it storing the value does.
    """

    __slots__ = ()

    def __init__(self, **values: Any) -> None:
        values.setdefault("type", MapType.STRUCT_OPS)
        values.setdefault("key_size", 4)
        values.setdefault("max_entries", 1)
        super().__init__(**values)

    def create(self, **_: Any) -> Map:
        """Raise `UnsupportedError`: `ObjectSpec.load()` makes it, as the kernel has it."""
        raise UnsupportedError(
            f"map {self.name!r} is a struct of operations, which is made with the whole object",
            hint="ObjectSpec.load() makes it",
            feature="struct_ops without an object",
        )

    @property
    def struct(self) -> t.Struct:
        """The struct's type in the object's BTF."""
        assert self.btf is not None
        found = self.btf.strip(self.value_type_id)
        assert isinstance(found, t.Struct)  # checked when the object was parsed
        return found

    @property
    def by_link(self) -> bool:
        """Whether a link attaches it."""
        return bool(self.flags & MapFlags.LINK)

    @property
    def members(self) -> Members:
        """The members by name: values typed by BTF, and names of programs for functions."""
        return Members(self)


class Members(MutableMapping[str, "Any"]):
    """What the members of a struct of operations are set to; assignment changes the spec.

    A function's value is the name of the program that implements it, or None. Raises
    `NotFoundError` for other names, `TypeMismatchError` and `RangeError` for values that do not
    fit.
    """

    __slots__ = ("_spec",)

    def __init__(self, spec: StructOpsSpec) -> None:
        self._spec = spec

    def _member(self, name: str) -> t.Member:
        members = self._spec.struct.members
        for member in members:
            if member.name == name:
                return member
        from difflib import get_close_matches

        known = [member.name for member in members if member.name]
        close = get_close_matches(name, known, 4, 0.5) or known[:8]
        raise NotFoundError(
            f"struct {self._spec.struct.name} of map {self._spec.name!r} has no member {name!r}",
            hint=f"it has {', '.join(close)}",
            name=name,
            where=self._spec.name,
        )

    def __getitem__(self, name: str) -> Any:
        spec, member = self._spec, self._member(name)
        assert spec.btf is not None
        assert spec.contents is not None
        at = member.bit_offset // 8
        if is_function(spec.btf, member.type_id):
            return dict(spec.initial).get(at)
        from skep.btf.codec import codec

        return codec(spec.btf, member.type_id).unpack(spec.contents, at)

    def __setitem__(self, name: str, value: Any) -> None:
        spec, member = self._spec, self._member(name)
        assert spec.btf is not None
        assert spec.contents is not None
        at = member.bit_offset // 8
        if is_function(spec.btf, member.type_id):
            value = getattr(value, "name", value)  # a ProgramSpec is as good as its name
            if value is not None and not isinstance(value, str):
                raise TypeMismatchError(
                    f"member {name!r} of map {spec.name!r} is a function:"
                    f" expected the name of a program or None, not {value!r:.60}",
                    expected="a program's name or None",
                    given=value,
                    field=name,
                    map=spec.name,
                )
            spec.initial = [pair for pair in spec.initial if pair[0] != at]
            if value is not None:
                spec.initial.append((at, value))
            spec.contents[at : at + 8] = bytes(8)
            return
        from skep.btf.codec import codec
        from skep.errors import RangeError

        try:
            packed = codec(spec.btf, member.type_id).pack(value)
        except (TypeMismatchError, RangeError) as error:
            evidence = {**error.evidence, "map": spec.name}
            message = f"member {name!r} of map {spec.name!r}: {error.message}"
            raise type(error)(message, hint=error.hint, **evidence) from None
        spec.contents[at : at + len(packed)] = packed

    def __delitem__(self, name: str) -> None:
        spec, member = self._spec, self._member(name)
        assert spec.btf is not None
        if is_function(spec.btf, member.type_id):
            self[name] = None
            return
        assert spec.contents is not None
        at = member.bit_offset // 8
        size = spec.btf.size_of(member.type_id)
        spec.contents[at : at + size] = bytes(size)

    def __iter__(self) -> Iterator[str]:
        return iter([member.name for member in self._spec.struct.members if member.name])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __repr__(self) -> str:
        return f"<Members of {self._spec.name}: {', '.join(self)}>"


def is_function(btf: Btf, type_id: int) -> bool:
    """Whether type *type_id* is a pointer to functions."""
    found = btf.strip(type_id)
    return isinstance(found, t.Pointer) and isinstance(btf.strip(found.type_id), t.FuncProto)
