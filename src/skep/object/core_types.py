"""When a type of the object and a type of the kernel are the same for CO-RE.

Three relations, each looser than C's own compatibility, because the two were compiled apart and
the local one is usually cut down to what the program uses:

- `fields_compatible`: may a field have changed from one type to the other and still be read;
- `types_compatible`: for "does such a type exist", names are compared only at the top;
- `types_match`: for "does a type of this shape exist", names, sizes and members count.

All are symmetric in nothing: local first, target second. The rules are libbpf's, whose
comments in `relo_core.c` (Linux 5.8 to 6.0) are their definition.
"""

from __future__ import annotations

from skep.btf import types as t

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.btf.btf import Btf

    # What was compared so far: (local id, target id, behind a pointer).
    Known = dict[tuple[int, int, bool], bool]

# The kernel's limit for the same comparison (MAX_TYPES_ARE_COMPAT_DEPTH is 2 there because its
# stack is small; libbpf walks 32 deep).
MAX_DEPTH = 32


def same_kind(local: t.Type, target: t.Type) -> bool:
    """Whether the kinds agree; both kinds of enum are one."""
    return local.kind == target.kind or (isinstance(local, t.Enum) and isinstance(target, t.Enum))


def fields_compatible(local_btf: Btf, local_id: int, target_btf: Btf, target_id: int) -> bool:
    """Whether a field of one type can stand for a field of the other.

    Any struct or union for any other, any pointer, integer or float for another of its kind
    whatever the size, enums and forward declarations by name unless one is anonymous, arrays by
    their elements.
    """
    for _ in range(MAX_DEPTH):
        local, target = local_btf.strip(local_id), target_btf.strip(target_id)
        if isinstance(local, t.Composite) and isinstance(target, t.Composite):
            return True
        if not same_kind(local, target):
            return False
        if isinstance(local, t.Array) and isinstance(target, t.Array):
            local_id, target_id = local.type_id, target.type_id
            continue
        if isinstance(local, t.Int) and isinstance(target, t.Int):
            # Integers that start at a bit are how old compilers wrote bit-fields.
            return not local.bit_offset and not target.bit_offset
        if isinstance(local, t.Enum | t.Forward):
            if not local.name or not target.name:
                return True
            return essential_name(local.name) == essential_name(target.name)
        return isinstance(local, t.Pointer | t.Float)
    return False


def types_compatible(
    local_btf: Btf,
    local_id: int,
    target_btf: Btf,
    target_id: int,
    *,
    depth: int = MAX_DEPTH,
    known: Known | None = None,
) -> bool:
    """Whether the types are of the same construction; names and sizes do not matter.

    *depth* and *known* are for the recursion, here and in `types_match`.
    """
    # A few functions that take each other twice would otherwise be compared for ever.
    known = {} if known is None else known
    while depth > 0:
        depth -= 1
        local, target = local_btf.strip(local_id), target_btf.strip(target_id)
        if not same_kind(local, target):
            return False
        if isinstance(local, t.Int) and isinstance(target, t.Int):
            return not local.bit_offset and not target.bit_offset
        if isinstance(local, t.FuncProto) and isinstance(target, t.FuncProto):
            if len(local.params) != len(target.params):
                return False
            for (_, mine), (_, theirs) in zip(local.params, target.params, strict=True):
                key = mine, theirs, False
                if key not in known:
                    known[key] = types_compatible(
                        local_btf, mine, target_btf, theirs, depth=depth, known=known
                    )
                if not known[key]:
                    return False
            local_id, target_id = local.type_id, target.type_id
        elif isinstance(local, t.Pointer | t.Array) and isinstance(target, t.Pointer | t.Array):
            local_id, target_id = local.type_id, target.type_id
        else:
            return isinstance(local, t.Void | t.Composite | t.Enum | t.Forward)
    return False


def types_match(
    local_btf: Btf,
    local_id: int,
    target_btf: Btf,
    target_id: int,
    *,
    behind_pointer: bool = False,
    depth: int = MAX_DEPTH,
    known: Known | None = None,
) -> bool:
    """Whether the target has the local type's shape: all members that the local one names.

    Behind a pointer, a struct or union is compared by name and kind only, and a forward
    declaration stands for a definition.
    """
    known = {} if known is None else known
    while depth > 0:
        depth -= 1
        local, target = local_btf.strip(local_id), target_btf.strip(target_id)
        if essential_name(local.name) != essential_name(target.name):
            return False
        if isinstance(local, t.Forward | t.Composite) and behind_pointer:
            return _is_union(local) is not None and _is_union(local) == _is_union(target)
        if isinstance(local, t.Enum) and isinstance(target, t.Enum):
            return local.size == target.size and _has_enumerators(local, target)
        if local.kind != target.kind:
            return False
        if isinstance(local, t.Void):
            return True
        if isinstance(local, t.Forward):
            return _is_union(local) == _is_union(target)
        if isinstance(local, t.Int) and isinstance(target, t.Int):
            return local.size == target.size and local.signed == target.signed
        if isinstance(local, t.Composite) and isinstance(target, t.Composite):
            return _members_match(local, target, depth, known)
        if isinstance(local, t.FuncProto) and isinstance(target, t.FuncProto):
            if len(local.params) != len(target.params):
                return False
            for (_, mine), (_, theirs) in zip(local.params, target.params, strict=True):
                key = mine, theirs, behind_pointer
                if key not in known:
                    known[key] = types_match(
                        local_btf,
                        mine,
                        target_btf,
                        theirs,
                        behind_pointer=behind_pointer,
                        depth=depth,
                        known=known,
                    )
                if not known[key]:
                    return False
            local_id, target_id = local.type_id, target.type_id
        elif isinstance(local, t.Pointer) and isinstance(target, t.Pointer):
            behind_pointer = True
            local_id, target_id = local.type_id, target.type_id
        elif isinstance(local, t.Array) and isinstance(target, t.Array):
            if local.length != target.length:
                return False
            local_id, target_id = local.type_id, target.type_id
        else:
            return False
    return False


def _is_union(found: t.Type) -> bool | None:
    """Say whether *found* is, or declares, a union (True), a struct (False), or neither (None)."""
    if isinstance(found, t.Forward):
        return found.is_union
    return isinstance(found, t.Union) if isinstance(found, t.Composite) else None


def _has_enumerators(local: t.Enum, target: t.Enum) -> bool:
    names = {essential_name(name) for name, _ in target.values}
    return len(local.values) <= len(target.values) and all(
        essential_name(name) in names for name, _ in local.values
    )


def _members_match(local: t.Composite, target: t.Composite, depth: int, known: Known) -> bool:
    if len(local.members) > len(target.members):
        return False
    return all(
        any(
            essential_name(theirs.name) == essential_name(mine.name)
            and _known_match(local.btf, mine.type_id, target.btf, theirs.type_id, depth, known)
            for theirs in target.members
        )
        for mine in local.members
    )


def _known_match(
    local: Btf, local_id: int, target: Btf, target_id: int, depth: int, known: Known
) -> bool:
    key = local_id, target_id, False
    found = known.get(key)
    if found is None:
        found = types_match(local, local_id, target, target_id, depth=depth, known=known)
        known[key] = found
    return found


def essential_name(name: str) -> str:
    """Return *name* without its flavour: `task_struct___old` means `task_struct`.

    A CO-RE program may declare several local versions of one kernel type under names that differ
    after three underscores. The last ``___`` between other characters counts.
    """
    at = name.rfind("___")
    while at > 0:
        # Exactly three: "a____b" has no flavour.
        if name[at - 1] != "_" and name[at + 3 : at + 4] not in ("", "_"):
            return name[:at]
        at = name.rfind("___", 0, at + 2)
    return name
