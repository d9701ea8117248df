"""CO-RE: what a relocated instruction's value is on a given kernel.

A record (`skep.asm.code.CoreRecord`) asks a question about a type: where a field is, how large,
whether it exists, what an enumerator's value is. `Resolver` answers it against a target's BTF:
it finds the target's types of that name, follows the access in each, and computes the value.
Several candidates are fine as long as they agree. A question without an answer gives an
`Answer` with a `reason`; whether that is an error depends on the program ever getting there, so
the instruction is poisoned and the verifier decides.

The kinds and their encoding are `enum bpf_core_relo_kind` of include/uapi/linux/bpf.h; the shift
formulas follow from what `__CORE_RELO(…, LSHIFT_U64)` has to undo (bpf_core_read.h).
"""

from __future__ import annotations

from enum import IntEnum

from skep.btf import types as t
from skep.errors import BtfError
from skep.object.core_path import follow, local_path, numbers
from skep.object.core_types import MAX_DEPTH, same_kind, types_compatible, types_match
from skep.object.flavours import essential_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from skep.btf.btf import Btf
    from skep.object.core_path import Path, Place


class RelocationKind(IntEnum):
    """`enum bpf_core_relo_kind`."""

    FIELD_BYTE_OFFSET = 0
    FIELD_BYTE_SIZE = 1
    FIELD_EXISTS = 2
    FIELD_SIGNED = 3
    FIELD_LSHIFT_U64 = 4
    FIELD_RSHIFT_U64 = 5
    TYPE_ID_LOCAL = 6
    TYPE_ID_TARGET = 7
    TYPE_EXISTS = 8
    TYPE_SIZE = 9
    ENUMVAL_EXISTS = 10
    ENUMVAL_VALUE = 11
    TYPE_MATCHES = 12


K = RelocationKind
_FIELD = frozenset(range(6))
_QUESTIONS = frozenset({K.FIELD_EXISTS, K.TYPE_EXISTS, K.TYPE_MATCHES, K.ENUMVAL_EXISTS})
_WORDS = {
    t.Kind.STRUCT: "struct ",
    t.Kind.UNION: "union ",
    t.Kind.ENUM: "enum ",
    t.Kind.ENUM64: "enum ",
}


class Answer:
    """What to write into an instruction, or why nothing can be.

    `local` is the value the compiler wrote (None: not to be checked), `value` the one to write.
    For a field's offset, `local_size` and `size` are the field's sizes in bytes on both sides, 0
    where a load's width must stay; `resize_problem` says why a load of another size would be
    wrong. `reason` is "" for a good answer, else the end of a sentence. `type` and `field` name
    what was asked: `field` is a member's path or an enumerator's name, which `is_member` tells,
    or "" for the whole type.
    """

    __slots__ = (
        "field", "is_member", "local", "local_size", "reason", "resize_problem", "size", "type",
        "value",
    )  # fmt: skip

    def __init__(
        self, type: str, field: str, value: int = 0, *, local: int | None = None, reason: str = ""
    ) -> None:
        self.type = type
        self.field = field
        self.is_member = False
        self.value = value
        self.local = local
        self.reason = reason
        self.local_size = 0
        self.size = 0
        self.resize_problem = ""

    @property
    def subject(self) -> str:
        """The type and field as one phrase, "field pid of struct task_struct"."""
        if not self.field:
            return f"the layout of {self.type}" if self.is_member else self.type
        return f"{'field ' if self.is_member else ''}{self.field} of {self.type}"

    def outcome(self) -> tuple[int, int, str, str]:
        """Return what two candidates must agree on."""
        return self.value, self.size, self.resize_problem, self.reason


class Resolver:
    """Answers the CO-RE questions of one object's *local* BTF.

    *target* is called when the first question about the kernel's types is asked, and gives its
    BTF. Answers are cached: an object asks the same few questions in every program. Not
    thread-safe.
    """

    def __init__(self, local: Btf, target: Callable[[], Btf]) -> None:
        self._local = local
        self._get_target = target
        self._target: Btf | None = None
        self._candidates: dict[tuple[str, int], list[int]] = {}
        self._answers: dict[tuple[int, str, int], Answer] = {}

    def resolve(self, type_id: int, access: str, kind: int) -> Answer:
        """Answer one record; `BtfError` when the record or either BTF is malformed."""
        key = (type_id, access, kind)
        found = self._answers.get(key)
        if found is None:
            found = self._answers[key] = self._resolve(type_id, access, kind)
        return found

    @property
    def target(self) -> Btf:
        """The BTF that is asked."""
        if self._target is None:
            self._target = self._get_target()
        return self._target

    def _resolve(self, type_id: int, access: str, kind: int) -> Answer:
        root = self._local.type(type_id)
        title = _title(root)
        if kind == K.TYPE_ID_LOCAL:
            # The object's own BTF is loaded as it is, so its ids stay. The compiler's value is
            # not checked: linkers renumber types without touching the code.
            return Answer(title, "", type_id)
        if kind in _FIELD:
            answer = self._field(root, title, local_path(self._local, type_id, access), kind)
            answer.is_member = True
            return answer
        if kind in (K.ENUMVAL_EXISTS, K.ENUMVAL_VALUE):
            return self._enumerator(root, title, numbers(access), kind)
        if kind in (K.TYPE_ID_TARGET, K.TYPE_EXISTS, K.TYPE_SIZE, K.TYPE_MATCHES):
            if access != "0":
                raise BtfError(f"a CO-RE relocation about {title} has the access {access!r}, not 0")
            return self._type(root, title, kind)
        raise BtfError(f"a CO-RE relocation about {title} has the unknown kind {kind}")

    def _field(self, root: t.Type, title: str, path: Path, kind: int) -> Answer:
        name = path.text
        local, checked = field_value(path.place, kind)
        answers = []
        reason = ""
        for candidate in self._find(root):
            place = follow(path, self.target, candidate)
            if isinstance(place, str):
                reason = reason or place
                continue
            if kind == K.FIELD_EXISTS:
                answer = Answer(title, name, 1, local=1)
            else:
                try:
                    value, _ = field_value(place, kind)
                except BtfError as error:
                    answers.append(Answer(title, name, reason=str(error)))
                    continue
                answer = Answer(title, name, value, local=local if checked else None)
                if kind == K.FIELD_BYTE_OFFSET and checked:
                    _compare_sizes(answer, path.place, place)
            answers.append(answer)
        if not answers and kind == K.FIELD_EXISTS:
            return Answer(title, name, 0, local=1)
        return self._agreed(answers, title, name, reason)

    def _type(self, root: t.Type, title: str, kind: int) -> Answer:
        btf = self._local
        # Matching looks at names and members; the other three only at the construction.
        relation = types_match if kind == K.TYPE_MATCHES else types_compatible
        answers = []
        for candidate in self._find(root):
            if relation(btf, root.id, self.target, candidate):
                if kind == K.TYPE_ID_TARGET:
                    answers.append(Answer(title, "", candidate))  # ids change in linking
                elif kind == K.TYPE_SIZE:
                    size = self.target.size_of(candidate)
                    answers.append(Answer(title, "", size, local=btf.size_of(root.id)))
                else:
                    answers.append(Answer(title, "", 1, local=1))
        if not answers:
            # "No such type" is an answer for all of these: 0.
            local = None
            if kind != K.TYPE_ID_TARGET:
                local = btf.size_of(root.id) if kind == K.TYPE_SIZE else 1
            return Answer(title, "", 0, local=local)
        return self._agreed(answers, title, "", "")

    def _enumerator(self, root: t.Type, title: str, access: list[int], kind: int) -> Answer:
        enum = self._local.strip(root.id)
        if not isinstance(enum, t.Enum) or len(access) != 1 or access[0] >= len(enum.values):
            raise BtfError(f"a CO-RE relocation asks for enumerator {access} of {title}")
        wanted, local = enum.values[access[0]]
        wanted = essential_name(wanted)
        answers = []
        reason = ""
        for candidate in self._find(root):
            theirs = self.target.strip(candidate)
            if not isinstance(theirs, t.Enum):
                continue
            for name, value in theirs.values:
                if essential_name(name) == wanted:
                    if kind == K.ENUMVAL_EXISTS:
                        answers.append(Answer(title, wanted, 1, local=1))
                    else:
                        answers.append(Answer(title, wanted, value, local=local))
                    break
            else:
                reason = "does not exist"
        if not answers and kind == K.ENUMVAL_EXISTS:
            return Answer(title, wanted, 0, local=1)
        return self._agreed(answers, title, wanted, reason)

    def _agreed(self, answers: list[Answer], title: str, field: str, reason: str) -> Answer:
        """Return the one answer that all candidates gave, or an answer saying why there is none."""
        where = f"{self.target.name or 'the target'}'s BTF"
        if not answers:
            reason = f"in {where} it {reason}" if reason else f"{where} has no such type"
            return Answer(title, field, reason=reason)
        first = answers[0].outcome()
        if any(answer.outcome() != first for answer in answers):
            count = len(answers)
            reason = f"{where} has {count} types of that name, and they do not agree about it"
            return Answer(title, field, reason=reason)
        return answers[0]

    def _find(self, root: t.Type) -> list[int]:
        """Return the target's types that *root* may stand for: same kind, same essential name."""
        name = essential_name(root.name)
        if not name:
            raise BtfError(f"a CO-RE relocation is about type {root.id}, which has no name")
        key = (name, root.kind)
        found = self._candidates.get(key)
        if found is None:
            target = self.target
            if isinstance(root, t.Enum):
                found = [i for i in target.find(name) if same_kind(root, target.type(i))]
            else:
                found = target.find(name, root.kind)
            self._candidates[key] = found
        return found


def _title(root: t.Type) -> str:
    """Name a type as C does, without its flavour."""
    return f"{_WORDS.get(root.kind, '')}{essential_name(root.name) or '(anonymous)'}"


def field_value(place: Place, kind: int) -> tuple[int, bool]:
    """Compute one fact about a field, and whether the compiler's own value can be relied on.

    The kinds are the field ones except FIELD_EXISTS (1 here). For bit-fields, offset and size
    describe the smallest aligned unit of 1, 2, 4 or 8 bytes that holds all its bits; compilers
    choose differently. Raises `BtfError` when there is none.
    """
    btf = place.btf
    bits = place.bit_size
    if kind == K.FIELD_EXISTS:
        return 1, True
    if kind == K.FIELD_SIGNED:
        field = btf.strip(place.type_id)
        return int(isinstance(field, t.Int | t.Enum) and field.signed), True
    size = btf.size_of(place.type_id)
    start = place.bit_offset // 8
    if bits:
        size = max(size, 1)
        while True:
            start = place.bit_offset // 8 // size * size
            if place.bit_offset + bits <= (start + size) * 8:
                break
            if size >= 8:
                raise BtfError("it is a bit-field that no aligned 8 bytes hold")
            size *= 2
    width = bits or size * 8
    if kind == K.FIELD_BYTE_OFFSET:
        return start, not bits
    if kind == K.FIELD_BYTE_SIZE:
        return size, not bits
    if kind == K.FIELD_RSHIFT_U64:
        return 64 - width, True
    # The value is read into a u64; the left shift drops what is above the field's top bit.
    before = place.bit_offset - start * 8
    if btf.byteorder == "little":
        return 64 - before - width, not bits
    return (8 - size) * 8 + before, not bits


def _compare_sizes(answer: Answer, local: Place, target: Place) -> None:
    """Note the sizes of a field whose offset is asked, for loads and stores of it."""
    old, new = _element(local), _element(target)
    try:
        mine, theirs = local.btf.size_of(old.id), target.btf.size_of(new.id)
    except BtfError:
        return
    if mine == theirs:
        return
    answer.local_size, answer.size = mine, theirs
    # A pointer is 32 bits wide in 32-bit kernels. An unsigned integer may shrink or grow: a load
    # clears the upper bits. A signed one would need its sign extended.
    if isinstance(old, t.Pointer) and isinstance(new, t.Pointer):
        return
    if isinstance(old, t.Int) and isinstance(new, t.Int) and not old.signed and not new.signed:
        return
    answer.resize_problem = (
        f"it has {theirs} bytes in {target.btf.name or 'the target'}'s BTF and {mine} in the"
        " object, and is no unsigned integer"
    )


def _element(place: Place) -> t.Type:
    """Return the field's type, through arrays: a load moves one element."""
    found = place.btf.strip(place.type_id)
    for _ in range(MAX_DEPTH):
        if not isinstance(found, t.Array):
            break
        found = place.btf.strip(found.type_id)
    return found
