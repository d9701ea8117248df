"""CO-RE access paths: what "0:1:2" means in the object's types, and the same way in the kernel's.

The first number indexes the root type as if it were an array (`&p[0]`), each further one a
member of a struct or union or an element of an array. Anonymous structs and unions take part in
the numbers but not in the names, so they may differ between the two sides.
"""

from __future__ import annotations

from skep.btf import types as t
from skep.errors import BtfError
from skep.object.core_types import MAX_DEPTH, fields_compatible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.btf.btf import Btf

# libbpf's limit for the parts of one access (BPF_CORE_SPEC_MAX_LEN).
MAX_LENGTH = 64
MAX_TEXT = 512  # characters of a path in words; names in BTF may be very long


class Step:
    """One named or numbered step: a `member` of the struct `inside`, or element `index`."""

    __slots__ = ("index", "inside", "member")

    def __init__(
        self, index: int, member: t.Member | None = None, inside: t.Composite | None = None
    ) -> None:
        self.index = index
        self.member = member
        self.inside = inside


class Place:
    """Where a path ends: the field's `type_id` in `btf`, its `bit_offset` from the root.

    `bit_size` is 0 unless it is a bit-field.
    """

    __slots__ = ("bit_offset", "bit_size", "btf", "type_id")

    def __init__(self, btf: Btf, type_id: int, bit_offset: int, bit_size: int) -> None:
        self.btf = btf
        self.type_id = type_id
        self.bit_offset = bit_offset
        self.bit_size = bit_size


class Path:
    """An access of the object: the `steps` that matter for finding it elsewhere, and its `place`.

    `text` is the field in C's words, "mm.arg_start" or "comm[3]"; "" for the root itself.
    """

    __slots__ = ("place", "root_id", "steps", "text")

    def __init__(self, root_id: int, steps: list[Step], place: Place, text: str) -> None:
        self.root_id = root_id
        self.steps = steps
        self.place = place
        self.text = text


def numbers(access: str) -> list[int]:
    """Split an access string; `BtfError` when it is none."""
    parts = access.split(":")
    if len(parts) > MAX_LENGTH or not all(
        p.isascii() and p.isdigit() and len(p) < 10 for p in parts
    ):
        raise BtfError(f"a CO-RE relocation has the access string {access[:80]!r}")
    return [int(part) for part in parts]


def local_path(btf: Btf, root_id: int, access: str) -> Path:
    """Follow *access* from type *root_id* of the object; `BtfError` when there is no such way."""
    first, *rest = numbers(access)
    type_id, bits, width = root_id, 0, 0
    if first:
        bits = first * btf.size_of(type_id) * 8
    steps = [Step(first)]
    text = f"[{first}]" if first else ""
    for index in rest:
        found = btf.strip(type_id)
        if isinstance(found, t.Composite):
            if index >= len(found.members):
                raise _nowhere(btf, root_id, access)
            member = found.members[index]
            bits += member.bit_offset
            width = member.bit_size
            type_id = member.type_id
            if member.name:
                steps.append(Step(index, member, found))
                if len(text) < MAX_TEXT:
                    text += f".{member.name[:MAX_TEXT]}" if text else member.name[:MAX_TEXT]
        elif isinstance(found, t.Array):
            if index >= found.length and not flexible(steps[-1], found):
                raise _nowhere(btf, root_id, access)
            type_id = found.type_id
            width = 0
            bits += index * btf.size_of(type_id) * 8
            steps.append(Step(index))
            text += f"[{index}]"
        else:
            raise _nowhere(btf, root_id, access)
    return Path(root_id, steps, Place(btf, type_id, bits, width), text)


def _nowhere(btf: Btf, root_id: int, access: str) -> BtfError:
    name = btf.type(root_id).name[:MAX_TEXT]
    return BtfError(f"the CO-RE access {access!r} leads nowhere in type {name!r} of {btf.name}")


def flexible(before: Step, array: t.Array) -> bool:
    """Whether *array*, reached by the step *before*, is a struct's last member without a length."""
    if array.length or before.member is None or before.inside is None:
        return False
    return before.member is before.inside.members[-1]


def follow(path: Path, target: Btf, root_id: int) -> Place | str:
    """Walk *path* by names from type *root_id* of *target*: its place there, or why there is none.

    The reason is the end of a sentence about the field, "does not exist".

    Raises `BtfError` when the target's BTF is malformed.
    """
    btf = path.place.btf
    type_id, bits, width = root_id, 0, 0
    before = path.steps[0]
    if before.index:
        bits = before.index * target.size_of(type_id) * 8
    for step in path.steps[1:]:
        if step.member is None:
            found = target.strip(type_id)
            if not isinstance(found, t.Array):
                return "is no array"
            if step.index >= found.length and not flexible(before, found):
                return f"has only {found.length} elements"
            type_id = found.type_id
            width = 0
            bits += step.index * target.size_of(type_id) * 8
            before = step
            continue
        chain = member_chain(target, type_id, step.member.name)
        if not chain:
            return "does not exist"
        bits += sum(inside.members[index].bit_offset for inside, index in chain)
        inside, index = chain[-1]
        member = inside.members[index]
        if not fields_compatible(btf, step.member.type_id, target, member.type_id):
            return "has another kind of type"
        width = member.bit_size
        type_id = member.type_id
        before = Step(step.index, member, inside)
    return Place(target, type_id, bits, width)


def member_chain(btf: Btf, type_id: int, name: str) -> list[tuple[t.Composite, int]]:
    """Return the way to member *name* of a struct or union, through the anonymous ones in it.

    Each step is a struct or union and the index of its member; empty when there is no way.
    """
    return _chain(btf, type_id, name, MAX_DEPTH, set())


def _chain(
    btf: Btf, type_id: int, name: str, depth: int, seen: set[int]
) -> list[tuple[t.Composite, int]]:
    found = btf.strip(type_id)
    # Without `seen`, a few structs that hold each other twice would take forever.
    if not isinstance(found, t.Composite) or not depth or found.id in seen:
        return []
    seen.add(found.id)
    for index, member in enumerate(found.members):
        if member.name == name:
            return [(found, index)]
        if not member.name:
            rest = _chain(btf, member.type_id, name, depth - 1, seen)
            if rest:
                return [(found, index), *rest]
    return []
