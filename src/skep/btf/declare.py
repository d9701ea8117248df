"""Types described in Python, as BTF: what `MapSpec(key=..., value=...)` takes.

| description | BTF |
|---|---|
| `"u32"`, `"__be16"`, `"unsigned long"`, `"char[16]"`, `"u64[4][2]"`, `"void *"` | that C type |
| `"struct in_addr"`, `"struct bpf_spin_lock"` ... | that struct of the kernel's |
| a ctypes class, a NumPy dtype or scalar type | its layout, exactly |
| a `Record` subclass, dataclass or named tuple with widths: `Annotated[int, "u32"]` | a struct |
| a Python enum; `IPv4Address`, `IPv6Address`; `bool`, `float` | an enum; an address; that |

The members of a class are placed as C places them. Byte orders that are not the machine's become
``__be32`` and the like.
"""

from __future__ import annotations

import sys

from skep.btf import types as t
from skep.btf.btf import Btf
from skep.btf.codec import Options, codec
from skep.btf.hints import hints_of, is_members_class, unwrapped
from skep.btf.writer import Builder
from skep.errors import TypeMismatchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Member = tuple[str, int, int, int]

_INTEGERS = {
    "char": ("char", 1, True),
    "signed char": ("signed char", 1, True),
    "unsigned char": ("unsigned char", 1, False),
    "short": ("short", 2, True),
    "unsigned short": ("unsigned short", 2, False),
    "int": ("int", 4, True),
    "unsigned int": ("unsigned int", 4, False),
    "long": ("long", 8, True),
    "unsigned long": ("unsigned long", 8, False),
    "long long": ("long long", 8, True),
    "unsigned long long": ("unsigned long long", 8, False),
    "__int128": ("__int128", 16, True),
    "unsigned __int128": ("unsigned __int128", 16, False),
}
_OTHER_WORDS = {
    "unsigned": "unsigned int",
    "signed": "int",
    "long int": "long",
    "short int": "short",
    "long unsigned int": "unsigned long",
    "long long unsigned int": "unsigned long long",
    "long long int": "long long",
    "short unsigned int": "unsigned short",
    "unsigned short int": "unsigned short",
    "unsigned long int": "unsigned long",
    "unsigned long long int": "unsigned long long",
}
_BY_SIZE = {
    (False, 1): "unsigned char", (False, 2): "unsigned short", (False, 4): "unsigned int",
    (False, 8): "unsigned long long", (False, 16): "unsigned __int128",
    (True, 1): "signed char", (True, 2): "short", (True, 4): "int", (True, 8): "long long",
    (True, 16): "__int128",
}  # fmt: skip
_TYPEDEFS = {
    **{f"{p}{s}{8 * n}": _BY_SIZE[s == "s", n]
       for p in ("", "__") for s in "us" for n in (1, 2, 4, 8)},
    **{f"{p}{o}{8 * n}": _BY_SIZE[False, n]
       for p in ("", "__") for o in ("be", "le") for n in (2, 4, 8)},
    **{f"{u}int{8 * n}_t": _BY_SIZE[not u, n] for u in ("", "u") for n in (1, 2, 4, 8)},
    "size_t": "unsigned long", "ssize_t": "long", "pid_t": "int", "uid_t": "unsigned int",
    "gid_t": "unsigned int", "dev_t": "unsigned int",
}  # fmt: skip
_FLOATS = {"float": 4, "double": 8, "_Float16": 2}
# What the kernel and the network have structs for: members, as in their headers.
_STRUCTS = {
    "in_addr": (4, (("s_addr", "__be32"),)),
    "in6_addr": (16, (("u6_addr8", "__u8[16]"),)),
    "bpf_spin_lock": (4, (("val", "__u32"),)),
    "bpf_timer": (16, (("__opaque", "__u64[2]"),)),
    "bpf_wq": (16, (("__opaque", "__u64[2]"),)),
    "bpf_refcount": (4, (("__opaque", "__u32[1]"),)),
}


def declared(description: Any) -> tuple[Btf, int]:
    """Return BTF with the type described, and its id there; raises `TypeMismatchError`."""
    declarer = Declarer()
    id_ = declarer.id_of(description)
    return declarer.btf(), id_


def declare(key: Any, value: Any, name: str = "") -> tuple[Btf, int, int]:
    """Return BTF with the types of a map's key and value and their ids; 0 for None.

    The codecs of what a class described make that class. Raises `TypeMismatchError` saying what
    cannot be described so.
    """
    declarer = Declarer()
    ids = [0 if one is None else declarer.id_of(one) for one in (key, value)]
    btf = declarer.btf(name)
    for want, id_ in declarer.classes():
        # In place of the codec that everybody shares: this BTF is the map's own.
        btf.codecs[id_] = codec(btf, id_, Options(want=want))
    return btf, ids[0], ids[1]


class Declarer:
    """Collects types described in Python; `btf` is all of them. Not thread-safe."""

    def __init__(self, byteorder: str = sys.byteorder) -> None:
        self.b = Builder(byteorder)
        self._ids: dict[Any, int] = {}
        self._open: list[Any] = []  # classes whose members are being described
        self._shapes: dict[int, tuple[int, int]] = {}  # size and alignment in bytes, by id

    def btf(self, name: str = "") -> Btf:
        """Return the types collected so far."""
        return Btf.from_bytes(self.b.build(), name=name or "types described in Python")

    def classes(self) -> list[tuple[Any, int]]:
        """Return (class, id) of every struct that a class or structured dtype described."""
        kinds = (t.Kind.STRUCT, t.Kind.UNION)
        found = self.btf()
        return [
            (want, id_)
            for want, id_ in self._ids.items()
            if not isinstance(want, str)
            and getattr(want, "__module__", "") != "ipaddress"
            and found.kind_of(id_) in kinds
        ]

    def shape(self, id_: int) -> tuple[int, int]:
        """Return size and alignment in bytes of a type made by this object."""
        return self._shapes[id_]

    def id_of(self, description: Any) -> int:
        """Return the id of the type described; raises `TypeMismatchError`."""
        want, marks = unwrapped(description)
        if marks:
            return self.named(marks[0])
        if isinstance(want, str):
            return self.named(want)
        from skep.btf.views import is_foreign

        if not isinstance(want, type) and not is_foreign(want):
            raise _unknown(description)
        found = self._ids.get(want)
        if found is None:
            if any(want is one for one in self._open):
                raise _unknown(description, "it contains itself")
            self._open.append(want)
            try:
                found = self._ids[want] = self._of_class(want, foreign=is_foreign(want))
            finally:
                self._open.pop()
        return found

    def _of_class(self, want: Any, *, foreign: bool) -> int:
        if foreign:
            ctypes = sys.modules.get("ctypes")
            module = getattr(want, "__mro__", ())
            if ctypes is not None and any(base.__module__ == "_ctypes" for base in module):
                from skep.btf.declare_ctypes import ctypes_id

                return ctypes_id(self, want)
            from skep.btf.declare_numpy import dtype_id

            return dtype_id(self, want)
        if is_members_class(want):
            return self._members(want)
        if want in {bool, float}:
            return self.named("bool" if want is bool else "double")
        address = {"IPv4Address": "in_addr", "IPv6Address": "in6_addr"}.get(want.__name__)
        if address and want.__module__ == "ipaddress":
            return self._kernel_struct(address)
        enum = sys.modules.get("enum")
        if enum is not None and issubclass(want, enum.Enum):
            return self._enum(want)
        raise _unknown(want)

    # -- C's names ------------------------------------------------------------------------

    def named(self, name: str) -> int:
        """Return the id of the C type *name*: ``u32``, ``unsigned long``, ``char[16]``."""
        word = " ".join(name.split())
        found = self._ids.get(word)
        if found is None:
            found = self._ids[word] = self._named(word, name)
        return found

    def _named(self, word: str, name: str) -> int:
        base, bracket, rest = word.partition("[")
        if bracket:
            return self._array_named(base.strip(), f"[{rest}", name)
        if word.endswith("*"):
            return self.sized(self.b.pointer(0), 8, 8)
        kind, space, struct = word.partition(" ")
        if kind == "struct" and space:
            if struct not in _STRUCTS:
                raise _unknown(name, f"its members are not known; known are {', '.join(_STRUCTS)}")
            return self._kernel_struct(struct)
        word = _OTHER_WORDS.get(word, word)
        if word in _INTEGERS:
            spelt, size, signed = _INTEGERS[word]
            return self.sized(self.b.int(spelt, size, signed=signed), size, size)
        if word in _FLOATS:
            return self.sized(self.b.float(word, _FLOATS[word]), _FLOATS[word], _FLOATS[word])
        if word in {"bool", "_Bool"}:
            made = self.sized(self.b.int("_Bool", 1, is_bool=True), 1, 1)
            return made if word == "_Bool" else self.typedef(word, made)
        if word in _TYPEDEFS:
            # With the underscores that the kernel's headers have: they carry the byte order.
            spelt = f"__{word}" if word[:2] in {"be", "le"} else word
            return self.typedef(spelt, self.named(_TYPEDEFS[word]))
        raise _unknown(name)

    def _array_named(self, base: str, dimensions: str, name: str) -> int:
        if not dimensions.endswith("]"):
            raise _unknown(name, "a bracket is missing")
        lengths = []
        for part in dimensions[1:-1].split("]["):
            if not part.strip().isdecimal():
                raise _unknown(name, "the length of an array is a number")
            lengths.append(int(part))
        return self.array(self.named(base), *lengths)

    def _kernel_struct(self, name: str) -> int:
        found = self._ids.get(f"struct {name}")
        if found is None:
            size, members = _STRUCTS[name]
            parts = [(member, self.named(spelt), 0, 0) for member, spelt in members]
            found = self._ids[f"struct {name}"] = self.composite(name, size, parts)
        return found

    # -- building -------------------------------------------------------------------------

    def sized(self, id_: int, size: int, align: int) -> int:
        """Note the size and alignment of type *id_*, and return it."""
        self._shapes[id_] = size, align
        return id_

    def typedef(self, name: str, of: int) -> int:
        """Add a typedef."""
        return self.sized(self.b.typedef(name, of), *self._shapes[of])

    def number(self, kind: str, size: int, order: str) -> int:
        """Return an integer ("u", "i") or float ("f") of *size* bytes in *order*, "<" or ">"."""
        if kind == "f":
            names = {size: name for name, size in _FLOATS.items()}
            if size not in names:
                raise _unknown(f"a float of {size} bytes")
            name = names[size]
        else:
            name = _BY_SIZE[kind == "i", size]
        made = self.named(name)
        native = "<" if self.b.byteorder == "little" else ">"
        if size == 1 or order == native:
            return made
        spelt = f"__{'be' if order == '>' else 'le'}{8 * size}"
        key = f"{spelt} {name}"
        if key not in self._ids:
            self._ids[key] = self.typedef(spelt, made)
        return self._ids[key]

    def array(self, of: int, *lengths: int) -> int:
        """Return an array of *lengths*, the outermost first."""
        size, align = self._shapes[of]
        index = self.named("unsigned int")
        for length in reversed(lengths):
            size *= length
            of = self.sized(self.b.array(of, length, index), size, align)
        return of

    def composite(
        self, name: str, size: int, members: list[Member], *, union: bool = False, align: int = 1
    ) -> int:
        """Return a struct or union of (name, id, bit offset, bits of a bit-field)."""
        add = self.b.union if union else self.b.struct
        # The kernel wants members in the order of their offsets (btf_struct_check_meta).
        made = add(name, size, sorted(members, key=lambda member: member[2]))
        return self.sized(made, size, align)

    def _members(self, want: Any) -> int:
        """Return the struct of a class with annotations, laid out as C does."""
        packed = bool(getattr(want, "_packed", False))  # of a Record
        at, widest = 0, 1
        members: list[Member] = []
        for member, hint in hints_of(want).items():
            try:
                id_ = self.id_of(hint)
            except TypeMismatchError as error:
                raise TypeMismatchError(
                    f"{want.__qualname__}.{member}: {error.message}",
                    hint=error.hint,
                    **{**error.evidence, "field": member},
                ) from None
            size, align = self._shapes[id_]
            align = 1 if packed else align
            at += -at % align
            members.append((member, id_, 8 * at, 0))
            at += size
            widest = max(widest, align)
        name = getattr(want, "_type_name", "").rpartition(" ")[2] or want.__name__
        return self.composite(name, at + -at % widest, members, align=widest)

    def _enum(self, want: Any) -> int:
        values = [(one.name, one.value) for one in want]
        if not all(isinstance(number, int) for _, number in values):
            raise _unknown(want, "its values are not all integers")
        wide = any(not -(1 << 31) <= number < 1 << 32 for _, number in values)
        add = self.b.enum64 if wide else self.b.enum
        return self.sized(add(want.__name__, values), 8 if wide else 4, 8 if wide else 4)


_WIDTHS = {int: "u64", str: "char[16]", bytes: "u8[6]"}


def _unknown(description: Any, why: str = "") -> TypeMismatchError:
    from skep.btf.views import spelled

    shown = repr(description) if isinstance(description, str) else spelled(description)
    hint = (
        "give a C name like 'u32' or 'char[16]', a ctypes class, a NumPy dtype, or a class with"
        " widths in its annotations: Annotated[int, 'u32']"
    )
    if isinstance(description, type) and description in _WIDTHS:
        why = "it does not say how many bytes there are"
        width = _WIDTHS[description]
        hint = f"give its C name, like {width!r}; in a class Annotated[{shown}, {width!r}]"
    return TypeMismatchError(
        f"{shown} does not describe a C type{f': {why}' if why else ''}",
        hint=hint,
        expected="a C type",
        given=description,
    )
