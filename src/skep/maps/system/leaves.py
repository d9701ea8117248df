"""What a type is made of in the end: its numbers, with place, sign and byte order."""

from __future__ import annotations

from skep.btf import types as t
from skep.btf.btf import MAX_DEPTH
from skep.btf.tags import tags_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from skep.btf.btf import Btf

_OTHER = {"little": "big", "big": "little"}
_ORDERS = {
    f"__{short}{bits}": order
    for short, order in (("be", "big"), ("le", "little"))
    for bits in (16, 32, 64)
}


class Leaf:
    """One number, text or array of a type: where it lies, in bits, and what it is.

    `order` is "big" or "little" for numbers of several bytes, else "".
    """

    __slots__ = ("at", "bits", "kind", "order", "path", "signed")

    def __init__(
        self, path: str, at: int, bits: int, kind: str, signed: bool = False, order: str = ""
    ) -> None:
        self.path = path
        self.at = at
        self.bits = bits
        self.kind = kind
        self.signed = signed
        self.order = order


def leaves(
    btf: Btf, type_id: int, path: str = "", at: int = 0, depth: int = MAX_DEPTH, order: str = ""
) -> Iterator[Leaf]:
    """Yield what a type is made of in the end; of an array of structs the first one.

    *order* is the byte order that a tag on the member declares.
    """
    if not depth:
        return
    found = btf.strip(type_id)
    if isinstance(found, t.Composite):
        tags = tags_of(btf)
        for index, member in enumerate(found.members):
            inner = f"{path}.{member.name}" if path and member.name else member.name or path
            bit = at + member.bit_offset
            if member.bit_size:
                signed = getattr(btf.strip(member.type_id), "signed", False)
                yield Leaf(inner, bit, member.bit_size, "bits", signed)
            else:
                tagged = _tagged(tags.get((found.id, index), ()))
                yield from leaves(btf, member.type_id, inner, bit, depth - 1, tagged)
        return
    if isinstance(found, t.Array):
        element = btf.strip(found.type_id)
        if isinstance(element, (t.Composite, t.Array)) and found.length:
            yield from leaves(btf, found.type_id, f"{path}[0]", at, depth - 1)
            return
        for one in leaves(btf, found.type_id, path, at, depth - 1, order):
            size = btf.size_of(type_id)
            yield Leaf(path, at, 8 * size, f"{one.kind}[]", one.signed, one.order)
        return
    bits = 8 * btf.size_of(type_id)
    order = (order or _order(btf, type_id)) if bits > 8 else ""
    if isinstance(found, t.Int):
        yield Leaf(path, at, bits, "bool" if found.is_bool else "integer", found.signed, order)
    elif isinstance(found, t.Enum):
        yield Leaf(path, at, bits, "integer", found.signed, order)
    elif isinstance(found, t.Float):
        yield Leaf(path, at, bits, "float", order=order)
    elif isinstance(found, t.Pointer):
        yield Leaf(path, at, bits, "pointer", order=order)


def other(order: str) -> str:
    """Return the byte order that *order* is not."""
    return _OTHER[order]


def _order(btf: Btf, type_id: int) -> str:
    """Return the byte order that a type declares, by its typedef's tag or name, or the BTF's."""
    tags = tags_of(btf)
    found = btf.type(type_id)
    for _ in range(MAX_DEPTH):
        if isinstance(found, t.Typedef):
            tagged = _tagged(tags.get((found.id, -1), ())) or _ORDERS.get(found.name, "")
            if tagged:
                return tagged
        if not isinstance(found, t.Modifier):
            break
        found = btf.type(found.type_id)
    return btf.byteorder


def _tagged(tags: tuple[str, ...]) -> str:
    """Return the byte order that skep's *tags* declare, "" where they do not."""
    for tag in tags:
        if tag in _OTHER:
            return tag
        if tag.startswith("ip"):
            return "big"
    return ""
