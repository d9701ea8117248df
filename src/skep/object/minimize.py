"""A kernel's BTF cut down to what the CO-RE relocations of some objects look at.

The result serves machines whose kernel has no BTF: a few kilobytes instead of megabytes, shipped
with the object. Relocated against it, the objects get the very answers that the whole BTF gives,
the negative ones included. That holds because every type of a name that is asked for is kept, a
member with those before it on its path, and of everything else just as much as `core_types`
compares: pointers point to void, structs keep their size but lose the members nobody names.
"""

from __future__ import annotations

from skep.btf import types as t
from skep.btf.btf import Btf
from skep.btf.places import MADE_FOR
from skep.btf.target import Target
from skep.btf.writer import Builder
from skep.errors import BtfError
from skep.object.core import KERNEL_ID, Resolver, kernel_id
from skep.object.core_path import Step, flexible, local_path, member_chain, numbers
from skep.object.core_types import essential_name
from skep.object.core_values import RelocationKind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from skep.asm.code import CoreRecord
    from skep.object.core_path import Path
    from skep.object.spec import ObjectSpec

K = RelocationKind


def minimize(specs: Iterable[ObjectSpec], target: Target | Btf, *, release: str = "") -> bytes:
    """Return BTF with the types of *target* that the relocations of *specs* need.

    *release*, the kernel's as `uname -r` prints it, is noted in the result, and keeps it from
    being taken by itself on another kernel (`find_target`). The byte order is the target's.

    Raises `NoBtfError` when *target* has no BTF, `BtfError` when an object's relocations or either
    BTF are malformed.
    """
    specs = [spec for spec in specs if spec.btf is not None]
    keeper = _Keeper()
    whole = target.require() if isinstance(target, Target) else target
    for spec in specs:
        assert spec.btf is not None
        resolver = Resolver(spec.btf, lambda: target)
        for record in records(spec):
            keeper.record(spec.btf, resolver, record)
    made = keeper.build(whole.byteorder, release)
    small = Btf.from_bytes(made, name=whole.name)
    for spec in specs:
        _compare(spec, target, small)
    return made


def records(spec: ObjectSpec) -> Iterator[CoreRecord]:
    """Yield the relocations of *spec*, each question once."""
    seen = set()
    for program in spec.programs.values():
        for record in program.code.core:
            key = (record.type_id, record.access, record.kind)
            if key not in seen:
                seen.add(key)
                yield record


def _compare(spec: ObjectSpec, target: Target | Btf, small: Btf) -> None:
    """Refuse a result that answers differently; nobody could find that out later."""
    assert spec.btf is not None
    before, after = Resolver(spec.btf, lambda: target), Resolver(spec.btf, lambda: small)
    for record in records(spec):
        asked = record.type_id, record.access, record.kind
        answer = before.resolve(*asked)
        if answer.outcome() != after.resolve(*asked).outcome():
            raise BtfError(
                f"the minimised BTF would answer differently about {answer.subject}, which"
                f" {spec.name} asks for",
                hint="please report it, with the object and the kernel's release",
                source=spec.name,
            )


class _Keeper:
    """Collects what to keep, then writes it. Types are keys: a `Btf` makes each object once."""

    def __init__(self) -> None:
        self.members: dict[t.Composite, set[int]] = {}
        self.enumerators: dict[t.Enum, set[int]] = {}
        self.followed: set[t.Type] = set()  # pointers and functions that keep what they refer to
        self.kept: dict[t.Type, None] = {}
        self.tagged: dict[t.Type, None] = {}  # whose number in the kernel is asked for

    # -- what to keep ---------------------------------------------------------------------

    def record(self, local: Btf, resolver: Resolver, record: CoreRecord) -> None:
        """Keep what the answer to one relocation depends on."""
        kind = record.kind
        if kind == K.TYPE_ID_LOCAL:
            return
        root = local.type(record.type_id)
        for candidate in resolver.candidates(root):
            self.kept[candidate] = None
            if kind <= K.FIELD_RSHIFT_U64:
                self.shallow(candidate)
                self.path(local_path(local, root.id, record.access), candidate)
            elif kind in (K.ENUMVAL_EXISTS, K.ENUMVAL_VALUE):
                self.shallow(candidate)
                self.enumerator(local.strip(root.id), record.access, candidate)
            elif kind == K.TYPE_MATCHES:
                self.matching(candidate)
            else:
                self.construction(candidate)
                if kind == K.TYPE_ID_TARGET:
                    self.tagged[candidate] = None

    def shallow(self, found: t.Type) -> t.Type:
        """Keep a field's type as far as its size and its kind go; return it without typedefs."""
        found = first = found.btf.strip(found.id)
        self.kept[found] = None
        while isinstance(found, t.Array):
            found = found.btf.strip(found.type_id)
            if found in self.kept:
                break
            self.kept[found] = None
        return first

    def path(self, path: Path, root: t.Type) -> None:
        """Keep the members on the way that *path* takes from *root*, as far as it goes."""
        btf = root.btf
        found: t.Type = btf.strip(root.id)
        before: Step = path.steps[0]
        for step in path.steps[1:]:
            if step.member is None:
                if not isinstance(found, t.Array):
                    return
                inside = before.inside
                if inside is not None and not found.length and not flexible(before, found):
                    # It must not become the last member: that one has no bounds.
                    self.member(inside, len(inside.members) - 1)
                before = step
                found = btf.strip(found.type_id)
                continue
            chain = member_chain(btf, found.id, step.member.name)
            if not chain:
                return
            for composite, index in chain:
                found = self.member(composite, index)
            composite, index = chain[-1]
            before = Step(step.index, composite.members[index], composite)

    def member(self, inside: t.Composite, index: int) -> t.Type:
        """Keep one member and its type; return the type."""
        self.kept[inside] = None
        self.members.setdefault(inside, set()).add(index)
        return self.shallow(inside.btf.type(inside.members[index].type_id))

    def enumerator(self, enum: t.Type, access: str, root: t.Type) -> None:
        """Keep the enumerator that is asked for."""
        (index,) = numbers(access)[:1]
        theirs = root.btf.strip(root.id)
        if not (isinstance(enum, t.Enum) and isinstance(theirs, t.Enum)):
            return
        if index >= len(enum.values):
            return
        wanted = essential_name(enum.values[index][0])
        for at, (name, _) in enumerate(theirs.values):
            if essential_name(name) == wanted:
                self.enumerators.setdefault(theirs, set()).add(at)
                return

    def construction(self, root: t.Type) -> None:
        """Keep what `types_compatible` looks at: through pointers, but into no struct."""
        waiting = [root]
        while waiting:
            found = waiting.pop()
            found = found.btf.strip(found.id)
            self.kept[found] = None
            if found not in self.followed:
                waiting += self.referred(found)

    def referred(self, found: t.Type) -> Iterator[t.Type]:
        """Yield what pointers, arrays and function types refer to, and keep these references."""
        if isinstance(found, (t.Pointer, t.Array, t.FuncProto)):
            self.followed.add(found)
            yield found.btf.type(found.type_id)
        if isinstance(found, t.FuncProto):
            for _, type_id in found.params:
                yield found.btf.type(type_id)

    def matching(self, root: t.Type) -> None:
        """Keep what `types_match` looks at: whole structs and enums, but not behind pointers."""
        waiting = [(root, False)]
        seen = set()
        while waiting:
            found, behind = waiting.pop()
            found = found.btf.strip(found.id)
            if (found, behind) in seen:
                continue
            seen.add((found, behind))
            self.kept[found] = None
            if isinstance(found, t.Enum):
                self.enumerators[found] = set(range(len(found.values)))
            elif isinstance(found, t.Composite) and not behind:
                self.members[found] = set(range(len(found.members)))
                waiting += [(found.btf.type(m.type_id), False) for m in found.members]
            elif isinstance(found, t.Pointer):
                behind = True
            waiting += [(each, behind) for each in self.referred(found)]

    # -- writing --------------------------------------------------------------------------

    def build(self, byteorder: str, release: str) -> bytes:
        """Write all that is kept, in the order of the whole BTF, modules after the kernel."""
        builder = Builder(byteorder)
        if release:
            builder.string(MADE_FOR + release)
        order: dict[Btf, list[t.Type]] = {}
        for found in sorted(self.kept, key=lambda each: each.id):
            if not isinstance(found, t.Void):
                order.setdefault(found.btf, []).append(found)
        ids: dict[t.Type, int] = {}
        every: list[t.Type] = []
        anything = 0  # the one `void *` for all pointers whose targets do not matter
        for found in (found for part in order.values() for found in part):
            bare = isinstance(found, t.Pointer) and found not in self.followed
            if bare and anything:
                ids[found] = anything
                continue
            every.append(found)
            ids[found] = len(every)
            if bare:
                anything = len(every)
        for found in every:
            self.write(builder, found, ids)
        for found in self.tagged:
            number = kernel_id(found.btf, found.id)
            builder.decl_tag(f"{KERNEL_ID}{number}", ids[found])
        return builder.build()

    def write(self, builder: Builder, found: t.Type, ids: dict[t.Type, int]) -> None:
        """Write one type with the parts of it that are kept."""
        btf = found.btf

        def new(type_id: int) -> int:
            return ids.get(btf.strip(type_id), 0)

        if isinstance(found, t.Composite):
            rows = [
                (member.name, new(member.type_id), member.bit_offset, member.bit_size)
                for index, member in enumerate(found.members)
                if index in self.members.get(found, ())
            ]
            add = builder.struct if isinstance(found, t.Struct) else builder.union
            add(found.name, found.size, rows)
        elif isinstance(found, t.Enum):
            chosen = sorted(self.enumerators.get(found, ()))
            values = [found.values[index] for index in chosen]
            write = builder.enum if found.kind == t.Kind.ENUM else builder.enum64
            write(found.name, values, size=found.size, signed=found.signed)
        elif isinstance(found, (t.Pointer, t.FuncProto)) and found not in self.followed:
            if isinstance(found, t.Pointer):
                builder.pointer(0)
            else:
                builder.func_proto(0, [])
        elif isinstance(found, t.Array):
            # The index's type says nothing; the element's stands in for it.
            element = new(found.type_id)
            builder.array(element, found.length, element)
        else:
            builder.add(found, new)
