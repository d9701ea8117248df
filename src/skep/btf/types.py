"""BTF types as Python objects: one small immutable-by-convention class per kind.

The wire format is that of Linux `include/uapi/linux/btf.h` and
`Documentation/bpf/btf.rst`. Sizes are bytes, bit offsets and widths are bits, counted from
the start of the enclosing struct in memory order on a little-endian machine and from the
most significant bit on a big-endian one, exactly as the compiler recorded them.

Type objects are made by `skep.btf.btf.Btf.type` and cached there, so identity is equality.
They never change after construction and may be shared between threads.
"""

from __future__ import annotations

from skep.kernel.enums import IntEnum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.btf.btf import Btf


class Kind(IntEnum):
    """BTF_KIND_* of linux/btf.h."""

    VOID = 0
    INT = 1
    PTR = 2
    ARRAY = 3
    STRUCT = 4
    UNION = 5
    ENUM = 6
    FWD = 7
    TYPEDEF = 8
    VOLATILE = 9
    CONST = 10
    RESTRICT = 11
    FUNC = 12
    FUNC_PROTO = 13
    VAR = 14
    DATASEC = 15
    FLOAT = 16
    DECL_TAG = 17
    TYPE_TAG = 18
    ENUM64 = 19


class Type:
    """Base of every BTF type: which blob it is from, its number there, its name ("" if none)."""

    __slots__ = ("btf", "id", "name")

    btf: Btf
    id: int
    name: str
    kind: Kind

    def __init__(self, btf: Btf, id: int, name: str) -> None:
        self.btf = btf
        self.id = id
        self.name = name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name or '(anonymous)'} [{self.id}]>"


class Void(Type):
    """Type 0: `void`."""

    __slots__ = ()
    kind = Kind.VOID


class Int(Type):
    """An integer. `size` is its storage in bytes, `bits` the width used (normally size * 8)."""

    __slots__ = ("bit_offset", "bits", "is_bool", "is_char", "signed", "size")
    kind = Kind.INT

    def __init__(
        self,
        btf: Btf,
        id: int,
        name: str,
        size: int,
        bits: int,
        bit_offset: int,
        signed: bool,
        is_char: bool,
        is_bool: bool,
    ) -> None:
        self.btf = btf
        self.id = id
        self.name = name
        self.size = size
        self.bits = bits
        self.bit_offset = bit_offset
        self.signed = signed
        self.is_char = is_char
        self.is_bool = is_bool


class Float(Type):
    """A floating-point number of 2, 4, 8, 12 or 16 bytes."""

    __slots__ = ("size",)
    kind = Kind.FLOAT

    def __init__(self, btf: Btf, id: int, name: str, size: int) -> None:
        self.btf = btf
        self.id = id
        self.name = name
        self.size = size


class Reference(Type):
    """Base of the types that are mostly a reference to another one, `type_id`."""

    __slots__ = ("type_id",)

    def __init__(self, btf: Btf, id: int, name: str, type_id: int) -> None:
        self.btf = btf
        self.id = id
        self.name = name
        self.type_id = type_id

    @property
    def target(self) -> Type:
        """The type referred to; raises `BtfError` when there is no such type."""
        return self.btf.type(self.type_id)


class Pointer(Reference):
    """A pointer to `type_id` (0 = `void *`). Eight bytes in every BPF program."""

    __slots__ = ()
    kind = Kind.PTR


class Modifier(Reference):
    """Base of the types that have the layout of `type_id`: typedef, qualifiers, type tag."""

    __slots__ = ()


class Typedef(Modifier):
    """`typedef type_id name`."""

    __slots__ = ()
    kind = Kind.TYPEDEF


class Const(Modifier):
    """`const type_id`."""

    __slots__ = ()
    kind = Kind.CONST


class Volatile(Modifier):
    """`volatile type_id`."""

    __slots__ = ()
    kind = Kind.VOLATILE


class Restrict(Modifier):
    """`restrict type_id`."""

    __slots__ = ()
    kind = Kind.RESTRICT


class TypeTag(Modifier):
    """`__attribute__((btf_type_tag(name)))` on `type_id`.

    With `is_attribute` the name is the text of any other attribute (Linux 6.15, "libbpf:
    Introduce kflag for type_tags and decl_tags in BTF").
    """

    __slots__ = ("is_attribute",)
    kind = Kind.TYPE_TAG

    def __init__(
        self,
        btf: Btf,
        id: int,
        name: str,
        type_id: int,
        is_attribute: bool,
    ) -> None:
        super().__init__(btf, id, name, type_id)
        self.is_attribute = is_attribute


class Array(Type):
    """`length` elements of `type_id`; a flexible array member has length 0."""

    __slots__ = ("index_type_id", "length", "type_id")
    kind = Kind.ARRAY

    def __init__(
        self,
        btf: Btf,
        id: int,
        type_id: int,
        index_type_id: int,
        length: int,
    ) -> None:
        self.btf = btf
        self.id = id
        self.name = ""
        self.type_id = type_id
        self.index_type_id = index_type_id
        self.length = length


class Member:
    """A struct or union member. `bit_size` is 0 unless it is a bit-field."""

    __slots__ = ("bit_offset", "bit_size", "name", "type_id")

    def __init__(self, name: str, type_id: int, bit_offset: int, bit_size: int) -> None:
        self.name = name
        self.type_id = type_id
        self.bit_offset = bit_offset
        self.bit_size = bit_size

    def __repr__(self) -> str:
        width = f":{self.bit_size}" if self.bit_size else ""
        return f"<Member {self.name or '(anonymous)'}{width} at bit {self.bit_offset}>"


class Composite(Type):
    """Base of struct and union: `size` in bytes and `members` in the order of the source."""

    __slots__ = ("members", "size")

    def __init__(
        self,
        btf: Btf,
        id: int,
        name: str,
        size: int,
        members: tuple[Member, ...],
    ) -> None:
        self.btf = btf
        self.id = id
        self.name = name
        self.size = size
        self.members = members


class Struct(Composite):
    """A struct."""

    __slots__ = ()
    kind = Kind.STRUCT


class Union(Composite):
    """A union; every member is at bit 0."""

    __slots__ = ()
    kind = Kind.UNION


class Enum(Type):
    """An enumeration of either wire kind: ENUM (32-bit values) or ENUM64.

    `size` is 1, 2, 4 or 8 bytes. Values are as C sees them: negative only when `signed`.
    """

    __slots__ = ("kind", "signed", "size", "values")

    def __init__(
        self,
        btf: Btf,
        id: int,
        name: str,
        kind: Kind,
        size: int,
        signed: bool,
        values: tuple[tuple[str, int], ...],
    ) -> None:
        self.btf = btf
        self.id = id
        self.name = name
        self.kind = kind
        self.size = size
        self.signed = signed
        self.values = values


class Forward(Type):
    """A struct or union that is only declared."""

    __slots__ = ("is_union",)
    kind = Kind.FWD

    def __init__(self, btf: Btf, id: int, name: str, is_union: bool) -> None:
        self.btf = btf
        self.id = id
        self.name = name
        self.is_union = is_union


class FuncProto(Reference):
    """A function type: returns `type_id`, takes `params` of (name, type id).

    A last parameter of ("", 0) means `...`.
    """

    __slots__ = ("params",)
    kind = Kind.FUNC_PROTO

    def __init__(
        self,
        btf: Btf,
        id: int,
        type_id: int,
        params: tuple[tuple[str, int], ...],
    ) -> None:
        super().__init__(btf, id, "", type_id)
        self.params = params


class Func(Reference):
    """A function with a body: `type_id` is its prototype.

    `linkage` is 0 static, 1 global, 2 extern (a kfunc or ksym in a BPF object).
    """

    __slots__ = ("linkage",)
    kind = Kind.FUNC

    def __init__(self, btf: Btf, id: int, name: str, type_id: int, linkage: int) -> None:
        super().__init__(btf, id, name, type_id)
        self.linkage = linkage


class Var(Reference):
    """A global variable of `type_id`. `linkage` is 0 static, 1 global, 2 extern."""

    __slots__ = ("linkage",)
    kind = Kind.VAR

    def __init__(self, btf: Btf, id: int, name: str, type_id: int, linkage: int) -> None:
        super().__init__(btf, id, name, type_id)
        self.linkage = linkage


class DataSec(Type):
    """A data section: its `size` and its `variables` as (id of the Var, byte offset, byte size).

    clang leaves size and offsets 0 (or meaningless); the loader fills them in from the ELF
    symbol table before the kernel sees them.
    """

    __slots__ = ("size", "variables")
    kind = Kind.DATASEC

    def __init__(
        self,
        btf: Btf,
        id: int,
        name: str,
        size: int,
        variables: tuple[tuple[int, int, int], ...],
    ) -> None:
        self.btf = btf
        self.id = id
        self.name = name
        self.size = size
        self.variables = variables


class DeclTag(Reference):
    """`__attribute__((btf_decl_tag(name)))` on `type_id`.

    `component_index` is -1 for the declaration itself, else the index of the struct member
    or function parameter that is meant. `is_attribute` as for `TypeTag`.
    """

    __slots__ = ("component_index", "is_attribute")
    kind = Kind.DECL_TAG

    def __init__(
        self,
        btf: Btf,
        id: int,
        name: str,
        type_id: int,
        component_index: int,
        is_attribute: bool,
    ) -> None:
        super().__init__(btf, id, name, type_id)
        self.component_index = component_index
        self.is_attribute = is_attribute
