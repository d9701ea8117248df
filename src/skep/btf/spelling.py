"""How C spells a type: declarators, from the inside out.

BTF describes a declaration from the name outwards (pointer to array of int); C writes it around
the name (`int (*name)[4]`). `Speller.declare` walks the chain once and builds the text around.
"""

from __future__ import annotations

from skep.btf import types as t
from skep.btf._c_words import BUILTIN, KEYWORDS
from skep.btf.btf import MAX_DEPTH
from skep.errors import BtfError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.btf.btf import Btf

# Declarations spelt inside one: the largest type of a 6.18 kernel has 1 150. Types that mention
# one another twice at every level would otherwise take exponential time.
MAX_PARTS = 1 << 14
MAX_TEXT = 1 << 23
"""Characters of all that one blob's declarations take, those inside others counted again, or eight
times the blob's bytes if that is more: few long names can be mentioned very often."""
_EACH = 16  # what a declaration counts besides its characters

_QUALIFIERS = {t.Kind.CONST: "const", t.Kind.VOLATILE: "volatile", t.Kind.RESTRICT: "restrict"}
_TAGS = {
    t.Kind.STRUCT: "struct",
    t.Kind.UNION: "union",
    t.Kind.ENUM: "enum",
    t.Kind.ENUM64: "enum",
}


def identifier(name: str) -> str:
    """Return *name* as a C identifier: itself, but for names C cannot have written (Rust's)."""
    if name.isidentifier() and name.isascii():
        return name + "_" if name in KEYWORDS else name
    cleaned = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in name)
    return "_" + cleaned if cleaned[:1].isdigit() else cleaned


def is_builtin(found: t.Type) -> bool:
    """Tell whether *found* is a typedef of the compiler's own, which C cannot define.

    That is `__builtin_va_list`. It is spelt as what it stands for: the kernel's is an array of
    a struct, while the BPF target's own is a pointer and has another size.
    """
    return isinstance(found, t.Typedef) and found.name.startswith("__builtin_")


class Speller:
    """Spells types of one `Btf` in one line. `skep.btf.format_c` extends it with bodies."""

    def __init__(self, btf: Btf) -> None:
        self.btf = btf
        self.budget = MAX_PARTS
        self.room = max(MAX_TEXT, 8 * len(btf.memory))

    def base(self, found: t.Type, depth: int) -> str:
        """Spell a type that is not a pointer, array, function or qualifier."""
        del depth
        if isinstance(found, (t.Void, t.Int, t.Float)):
            return found.name if found.name in BUILTIN else identifier(found.name)
        tag = _TAGS.get(found.kind)
        if isinstance(found, t.Forward):
            tag = "union" if found.is_union else "struct"
        if tag is None:
            return identifier(found.name) or "(anonymous)"
        return f"{tag} {identifier(found.name) or '(anonymous)'}"

    def attribute(self, found: t.TypeTag) -> str:
        """Spell a type tag; "" leaves it out."""
        return f'__attribute__((btf_type_tag("{identifier(found.name)}")))'

    def declare(self, type_id: int, name: str, depth: int = 0) -> str:
        """Return the declaration of *name* (may be "") as type *type_id*, without semicolon.

        *depth* counts nested bodies and parameter lists; raises `BtfError` past `MAX_DEPTH`.
        """
        self.budget -= 1
        if depth > MAX_DEPTH or self.budget < 0:
            raise BtfError(f"BTF of {self.btf.name}: type {type_id} nests too deep to be spelt")
        text = name
        before: list[str] = []  # qualifiers of the type that comes next
        after: list[str] = []
        # A declarator in C source has a handful of parts; this many means a circle.
        for _ in range(4 * MAX_DEPTH):
            found = self.btf.type(type_id)
            kind = found.kind
            if is_builtin(found):
                pass
            elif kind in _QUALIFIERS:
                if _QUALIFIERS[kind] not in before:
                    before.append(_QUALIFIERS[kind])
            elif isinstance(found, t.TypeTag):
                after.append(self.attribute(found))
            elif isinstance(found, t.Pointer):
                words = " ".join(part for part in (*before, *after) if part)
                gap = " " if words and text and text[0] != ")" else ""
                text = f"*{words}{gap}{text}"
                before, after = [], []
            elif isinstance(found, t.Array):
                if text.startswith("*"):
                    text = f"({text})"
                text += f"[{found.length}]"
            elif isinstance(found, t.FuncProto):
                if text.startswith("*"):
                    text = f"({text})"
                text += f"({self._parameters(found, depth)})"
                before, after = [], []  # a qualified function type means nothing in C
            else:
                # `restrict` qualifies pointers only; on anything else it is noise.
                words = " ".join(word for word in before if word != "restrict")
                parts = (words, self.base(found, depth), *after, text)
                text = " ".join(part for part in parts if part)
                self.room -= len(text) + _EACH
                if self.room < 0:
                    raise BtfError(
                        f"BTF of {self.btf.name}: its types take more than {MAX_TEXT} characters"
                    )
                return text
            type_id = found.type_id  # type: ignore[attr-defined]
        raise BtfError(f"BTF of {self.btf.name}: type {type_id} refers to itself")

    def _parameters(self, proto: t.FuncProto, depth: int) -> str:
        params = proto.params
        # clang describes f(void) as one parameter of type void.
        if not params or (len(params) == 1 and params[0][1] == 0):
            return "void"
        parts = [self.declare(type_id, identifier(name), depth + 1) for name, type_id in params]
        if params[-1][1] == 0:
            parts[-1] = "..."
        return ", ".join(parts)


def declaration(btf: Btf, type_id: int, name: str = "") -> str:
    """Return how C declares *name* as type *type_id*, in one line without bodies.

    Raises `BtfError` when the type refers to itself.
    """
    return Speller(btf).declare(type_id, name)
