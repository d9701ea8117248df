"""Whether two types lie in memory alike: member by member, and what to change when they do not.

The left one is BTF's, the right one was described in Python (`skep.btf.declare`). Compared are
name, offset, size, kind, sign and byte order of every member that is no struct itself.
"""

from __future__ import annotations

from skep.btf import codec as c
from skep.btf import types as t
from skep.btf.btf import MAX_DEPTH
from skep.btf.members import address_size, bits_of, is_special, make_room, members_of, path_of
from skep.errors import BtfError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from skep.btf.btf import Btf
    from skep.btf.options import Options

MAX_LEAVES = 1 << 14


class Leaf:
    """A member without members: `at` and `bits` are its place in bits, `dims` its lengths."""

    __slots__ = ("at", "bits", "dims", "kind", "optional", "order", "path", "signed", "size")

    def __init__(
        self, path: str, at: int, bits: int, size: int, kind: str, signed: bool, order: str
    ) -> None:
        self.path = path
        self.at = at
        self.bits = bits  # of a bit-field, else 0
        self.size = size  # bytes of one element
        self.kind = kind
        self.signed = signed
        self.order = order
        self.dims: tuple[int, ...] = ()
        self.optional = False

    @property
    def whole(self) -> int:
        """How many bits it covers."""
        if self.bits:
            return self.bits
        count = 1
        for length in self.dims:
            count *= length
        return 8 * self.size * count


class Problem:
    """What differs at a member: `why` is a sentence, `fix` what to do, `what` the kind of it."""

    __slots__ = ("fix", "path", "what", "why")

    def __init__(self, path: str, what: str, why: str, fix: str = "") -> None:
        self.path = path
        self.what = what
        self.why = why
        self.fix = fix


def leaves(btf: Btf, type_id: int, options: Options = c.DEFAULT) -> list[Leaf]:
    """Return the members of a type that have none themselves, front to back."""
    found: list[Leaf] = []
    make_room(btf)
    for leaf in _leaves(btf, type_id, "", 0, (), options, MAX_DEPTH):
        found.append(leaf)
        if len(found) > MAX_LEAVES:
            raise BtfError(f"BTF of {btf.name}: type {type_id} has more than {MAX_LEAVES} members")
    return found


def _leaves(
    btf: Btf,
    type_id: int,
    path: str,
    at: int,
    dims: tuple[int, ...],
    options: Options,
    depth: int,
    bits: int = 0,
) -> Iterator[Leaf]:
    if not depth:
        raise BtfError(f"BTF of {btf.name}: type {type_id} is nested too deep")
    _, order, target, options = c.resolve(btf, type_id, options)
    if isinstance(target, t.Array):
        element = btf.strip(target.type_id)
        if isinstance(element, t.Int) and element.size == 1 and not element.is_bool:
            leaf = Leaf(path, at, 0, 1, "bytes", signed=False, order="")
            leaf.dims = (*dims, target.length)
            yield leaf
            return
        dims = (*dims, target.length)
        yield from _leaves(btf, target.type_id, path, at, dims, options, depth - 1)
        return
    if isinstance(target, t.Composite):
        if address_size(target):
            leaf = Leaf(path, at, 0, target.size, "address", signed=False, order=">")
            leaf.dims = dims
            yield leaf
            return
        for member, bit, within in members_of(btf, target, options):
            inside = path_of(btf, path, member.name)
            optional = is_special(btf, btf.strip(member.type_id))
            width = bits_of(btf, member)
            for leaf in _leaves(
                btf, member.type_id, inside, at + bit, dims, within, depth - 1, width
            ):
                leaf.optional = leaf.optional or optional
                yield leaf
        return
    size = btf.size_of(target.id)
    kind, signed = _kind(target)
    leaf = Leaf(path, at, bits, size, kind, signed, "" if size == 1 or bits else order)
    leaf.dims = dims
    yield leaf


def _kind(target: t.Type) -> tuple[str, bool]:
    if isinstance(target, t.Int):
        return ("bool", False) if target.is_bool else ("integer", target.signed)
    if isinstance(target, t.Enum):
        return "enum", target.signed
    if isinstance(target, t.Pointer):
        return "pointer", False
    return "float", True


def compare(
    btf: Btf, type_id: int, other: Btf, other_id: int, options: Options = c.DEFAULT
) -> list[Problem]:
    """Return what differs between a type of BTF and the one described, front to back."""
    ours = {leaf.path: leaf for leaf in leaves(btf, type_id, options)}
    theirs = {leaf.path: leaf for leaf in leaves(other, other_id)}
    whole = ours.get(""), theirs.get("")
    if (whole[0] is None) != (whole[1] is None):
        words = ["a struct" if leaf is None else _spelt(leaf) for leaf in whole]
        return [Problem("", "shape", f"the whole is {words[0]} in C and {words[1]} here")]
    problems = []
    for path, leaf in ours.items():
        match = theirs.get(path)
        if match is None:
            inside = [one for one in theirs if one.startswith(f"{path}.")]
            if not inside and not leaf.optional and not _is_padding(path):
                what = "missing" if not _inside_of_some(path, theirs) else "shape"
                problems.append(
                    Problem(path, what, f"{path or 'the type'} is missing", f"add {path}")
                )
            elif inside:
                problems.append(Problem(path, "shape", f"{path} is no struct in C"))
            continue
        problems += _differences(leaf, match)
    for path, leaf in theirs.items():
        if path in ours or (_is_padding(path) and not _overlaps(leaf, ours.values())):
            continue
        if any(one.startswith(f"{path}.") for one in ours) or _inside_of_some(path, ours):
            if not any(problem.what == "shape" for problem in problems):
                problems.append(Problem(path, "shape", f"{path} has another shape"))
            continue
        why = f"C has no member {path}"
        if _is_padding(path):
            why = f"{path} lies over a member of C's"
        problems.append(Problem(path, "unknown", why, f"leave out {path}"))
    sizes = btf.size_of(type_id), other.size_of(other_id)
    if sizes[0] != sizes[1]:
        why = f"the whole is {sizes[0]} bytes in C and {sizes[1]} here"
        fix = f"add {sizes[0] - sizes[1]} bytes of padding at the end"
        problems.append(Problem("", "size", why, fix if sizes[0] > sizes[1] else ""))
    return problems


def _differences(ours: Leaf, theirs: Leaf) -> Iterator[Problem]:
    path = ours.path
    shown = path or "it"
    if _kinds_differ(ours, theirs):
        yield Problem(path, "kind", f"{shown} is {_spelt(ours)} in C and {_spelt(theirs)} here")
    elif ours.bits != theirs.bits:
        why = f"{shown} has {ours.bits or 8 * ours.size} bits in C and"
        yield Problem(path, "size", f"{why} {theirs.bits or 8 * theirs.size} here")
    elif ours.kind != "address" and (ours.size, ours.dims) != (theirs.size, theirs.dims):
        why = f"{shown} is {_spelt(ours)} in C and {_spelt(theirs)} here"
        yield Problem(path, "width", why)
    elif ours.signed != theirs.signed and {ours.kind, theirs.kind} == {"integer"}:
        sign = ("signed", "unsigned") if ours.signed else ("unsigned", "signed")
        yield Problem(path, "sign", f"{shown} is {sign[0]} in C and {sign[1]} here")
    elif ours.order and theirs.order and ours.order != theirs.order:
        words = {"<": "little-endian", ">": "big-endian (network order)"}
        why = f"{shown} is {words[ours.order]} in C and {words[theirs.order]} here"
        yield Problem(path, "order", why)
    if ours.at != theirs.at:
        why = f"{shown} is at offset {_place(ours)} in C and {_place(theirs)} here"
        fix = ""
        if ours.at > theirs.at and not (ours.at - theirs.at) % 8:
            fix = f"insert {(ours.at - theirs.at) // 8} bytes of padding before {shown}"
        yield Problem(path, "offset", why, fix)


def _kinds_differ(ours: Leaf, theirs: Leaf) -> bool:
    kinds = {ours.kind, theirs.kind}
    if len(kinds) == 1:
        return False
    if "address" in kinds:
        # As one number in network order, or as bytes.
        other = theirs if ours.kind == "address" else ours
        whole = other.whole // 8
        one = ours if ours.kind == "address" else theirs
        fits = other.kind in {"bytes", "integer"} and whole == one.whole // 8
        return not fits or (other.kind == "integer" and other.dims not in {(), (4,)})
    if kinds <= {"integer", "enum", "pointer"}:
        return False
    return not (kinds == {"integer", "bool"} and 1 in {ours.size, theirs.size})


def _spelt(leaf: Leaf) -> str:
    if leaf.kind == "bytes":
        return "".join(f"[{length}]" for length in leaf.dims[:-1]) + f"{leaf.dims[-1]} bytes"
    words = leaf.kind
    if leaf.kind == "integer":
        words = "signed integer" if leaf.signed else "unsigned integer"
    elif leaf.kind == "address":
        words = "network address"
    words += f" of {leaf.size} byte{'s' if leaf.size > 1 else ''}"
    if leaf.dims:
        return f"an array {''.join(f'[{length}]' for length in leaf.dims)} of {words}"
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _place(leaf: Leaf) -> str:
    byte, bit = divmod(leaf.at, 8)
    return f"{byte}, bit {bit}" if leaf.bits else str(byte)


def _inside_of_some(path: str, others: dict[str, Leaf]) -> bool:
    parts = path.split(".")
    return any(".".join(parts[:n]) in others for n in range(1, len(parts)))


def _is_padding(path: str) -> bool:
    from skep.btf.views import is_padding

    return is_padding(path.rpartition(".")[2])


def _overlaps(leaf: Leaf, others: object) -> bool:
    end = leaf.at + leaf.whole
    return any(
        leaf.at < one.at + one.whole and one.at < end
        for one in others  # type: ignore[attr-defined]
        if one.path and not _is_padding(one.path)
    )
