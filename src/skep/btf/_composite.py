"""The codec of structs and unions."""

from __future__ import annotations

from struct import Struct as Packer
from struct import error as StructError  # noqa: N812  a class, named like one

from skep.btf._values import PACK_ERRORS, BitField, Codec, String, at_path, mismatch
from skep.btf.record import record_type
from skep.errors import TypeMismatchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from skep.btf._values import Buffer
    from skep.btf.record import Record


_Method: Any = type(Codec().unpack)  # `types.MethodType`, without the import
_SEQUENCES = (tuple, list)


class Field:
    """A member as decoded: anonymous structs and unions are dissolved into their members.

    `group` says which of an enclosing union's alternatives it belongs to: (union number,
    alternative) pairs from the outside in. An `optional` member is written as zero when no value is
    given.
    """

    __slots__ = ("codec", "group", "name", "offset", "optional")

    def __init__(
        self,
        name: str,
        offset: int,
        codec: Codec,
        group: tuple[tuple[int, int], ...],
        *,
        optional: bool = False,
    ) -> None:
        self.name = name
        self.offset = offset
        self.codec = codec
        self.group = group
        self.optional = optional or not codec.size


class Composite(Codec):
    """A struct or union."""

    __slots__ = (
        "_conversions",
        "_indices",
        "_mask",
        "_pack",
        "_preparations",
        "_record",
        "_single",
        "_unpack_from",
        "fields",
        "given",
    )

    def __init__(self, type_name: str, order: str, size: int, fields: tuple[Field, ...]) -> None:
        self.type_name = type_name
        self.size = size
        self.weight = 1 + sum(field.codec.weight for field in fields)
        names = tuple(field.name for field in fields)
        self.fields = fields
        self._indices = {name: i for i, name in enumerate(names)}
        self._mask = -1
        self._record: Any = record_type(type_name, names)
        packer = _single_packer(order, size, fields)
        self._pack = self._unpack_from = None
        if packer is not None:
            self._pack = packer.pack
            self._unpack_from = packer.unpack_from
        self._conversions = [
            (i, field.codec.convert)
            for i, field in enumerate(fields)
            if field.codec.convert is not None
        ]
        self._preparations = [
            (i, field.codec.prepare)
            for i, field in enumerate(fields)
            if field.codec.prepare is not None
        ]
        self.given = sum(not field.optional for field in fields)  # values that have to be given
        needed = [field for field in fields if not field.optional]
        self._single = needed[0] if len(needed) == 1 and not needed[0].group else None
        self._blob()

    def make(self, record: type[Record]) -> None:
        """Make records of the class *record*, whose members are known to be these."""
        # A bound method of the class: what is called with the values is tuple.__new__ itself.
        self._record = _Method(tuple.__new__, record)

    def unpack(self, buffer: Buffer, offset: int = 0) -> Any:
        if self._unpack_from is not None:
            try:
                values = self._unpack_from(buffer, offset)
            except StructError:
                raise self._short(buffer, offset) from None
            if self._conversions:
                items = list(values)
                for index, convert in self._conversions:
                    items[index] = convert(items[index])
                return self._record(items)
            return self._record(values)
        if len(buffer) - offset < self.size:
            raise self._short(buffer, offset)
        return self._record(
            [field.codec.unpack(buffer, offset + field.offset) for field in self.fields]
        )

    def pack(self, value: Any) -> bytes:
        try:
            if self._pack is not None:
                items = self._positional(value)
                for index, prepare in self._preparations:
                    items[index] = prepare(items[index])
                return self._pack(*items)
            data = bytearray(self.size)
            for field, item in self._chosen(value):
                packed = field.codec.pack(item)
                at = field.offset
                if field.group or isinstance(field.codec, BitField):
                    field.codec.merge(data, at, packed)
                else:
                    data[at : at + len(packed)] = packed
            return bytes(data)
        except PACK_ERRORS as error:
            self.explain(value, "")
            raise self._unfit(value) from error

    def mask(self) -> int:
        if self._mask < 0:
            mask = 0
            for field in self.fields:
                mask |= field.codec.mask() << 8 * field.offset
            self._mask = mask
        return self._mask

    def _opened(self, value: Any) -> Any:
        """Return *value* as a sequence of members or a mapping of them.

        One that is neither is the value of the only member there is, or has members that can be
        asked for: a dataclass, a ctypes structure, a row of a NumPy array.
        """
        if isinstance(value, _SEQUENCES):
            if len(value) != self.given or self.given == len(self.fields):
                return value
            left = iter(value)
            return [blank(field) if field.optional else next(left) for field in self.fields]
        if hasattr(value, "keys"):
            return value
        from skep.btf.shape import members_of

        members = members_of(value)
        if members is not None:
            return members
        return value if self._single is None else {self._single.name: value}

    def _positional(self, value: Any) -> list[Any]:
        """Return the members' values in order; for structs without unions."""
        if isinstance(value, _SEQUENCES) and len(value) == len(self.fields):
            return list(value)
        value = self._opened(value)
        if isinstance(value, _SEQUENCES):
            if len(value) != len(self.fields):
                self.explain(value, "")
            return list(value)
        if len(value) != len(self._indices):
            self._check_names(value, "")
        return [_member(value, field) for field in self.fields]

    def _chosen(self, value: Any) -> list[tuple[Field, Any]]:
        """Return the members to write and their values, in the order to write them."""
        value = self._opened(value)
        if isinstance(value, (tuple, list)):
            if len(value) != len(self.fields):
                self.explain(value, "")
            return in_order(zip(self.fields, value, strict=True))
        fields = self._check_names(value, "")
        return [(field, _member(value, field)) for field in fields]

    def _check_names(self, value: Mapping[str, Any], path: str) -> list[Field]:
        """Return the fields a mapping has to give and gives, or say what is wrong with it."""
        chosen: dict[int, int] = {}
        for name in value:
            index = self._indices.get(name)
            if index is None:
                raise TypeMismatchError(
                    f"{at_path(path)}{self.type_name} has no member {name!r}",
                    hint=f"its members are {', '.join(self._indices)}",
                    expected=self.type_name,
                    given=value,
                    field=path,
                )
            for union, alternative in self.fields[index].group:
                if chosen.setdefault(union, alternative) != alternative:
                    raise TypeMismatchError(
                        f"{at_path(path)}{self.type_name}: {name!r} shares its bytes with another"
                        " member that is given; give one of them",
                        expected=self.type_name,
                        given=value,
                        field=path,
                    )
        fields = []
        for field in self.fields:
            wanted = all(
                chosen.get(union, alternative) == alternative for union, alternative in field.group
            )
            if not wanted:
                continue
            if field.name not in value and not field.optional:
                raise TypeMismatchError(
                    f"{at_path(path)}{self.type_name} needs a value for its member {field.name!r}",
                    expected=self.type_name,
                    given=value,
                    field=path,
                )
            fields.append(field)
        return fields

    def explain(self, value: Any, path: str) -> None:
        try:
            self._explain(value, path)
        except TypeMismatchError as error:
            if path or "expected_layout" in error.evidence:
                raise
            from skep.btf.shape import with_layouts

            raise with_layouts(error, self, value) from None

    def _explain(self, value: Any, path: str) -> None:
        value = self._opened(value)
        if isinstance(value, (tuple, list)):
            if len(value) != len(self.fields):
                raise TypeMismatchError(
                    f"{at_path(path)}{self.type_name} has {len(self.fields)} members,"
                    f" {len(value)} values given",
                    expected=self.type_name,
                    given=value,
                    field=path,
                )
            pairs = list(zip(self.fields, value, strict=True))
        elif not hasattr(value, "keys"):
            mismatch(path, self.type_name, "a record, a mapping or a tuple", value)
        else:
            fields = self._check_names(value, path)
            pairs = [(field, _member(value, field)) for field in fields]
        for field, item in pairs:
            field.codec.explain(item, f"{path}.{field.name}" if path else field.name)


def in_order(pairs: Iterable[tuple[Field, Any]]) -> list[tuple[Field, Any]]:
    """Return members and their values in the order to write them, when some share bytes.

    Views of the same bytes: the largest is written last, so that it wins; a str goes first because
    what follows its NUL is not in it.
    """
    return sorted(
        pairs, key=lambda pair: (not isinstance(pair[0].codec, String), pair[0].codec.size)
    )


def blank(field: Field) -> Any:
    """Return the value that stands for an optional member that is not given: zeros."""
    return field.codec.unpack(bytes(field.codec.size))


def _member(value: Mapping[str, Any], field: Field) -> Any:
    if field.optional and field.name not in value:
        return blank(field)
    return value[field.name]


def _single_packer(order: str, size: int, fields: tuple[Field, ...]) -> Packer | None:
    """Return one struct-module format for all fields, or None when they share bytes."""
    at = 0
    parts = [order]
    for field in fields:
        if field.offset < at or field.group or isinstance(field.codec, BitField):
            return None
        parts.append(f"{field.offset - at}x{field.codec.format}")
        at = field.offset + field.codec.size
    if at > size:
        return None
    parts.append(f"{size - at}x")
    return Packer("".join(parts))
