"""CO-RE: what a relocated instruction's value is on a given kernel.

A record (`skep.asm.code.CoreRecord`) asks a question about a type: where a field is, how large,
whether it exists, what an enumerator's value is. `Resolver` answers it against a target's BTF:
it finds the target's types of that name, follows the access in each, and computes the value.
Several candidates are fine as long as they agree. A question without an answer gives an
`Answer` with a `reason`; whether that is an error depends on the program ever getting there, so
the instruction is poisoned and the verifier decides.

The kinds, and the numbers that describe a field, are in `skep.object.core_values`.
"""

from __future__ import annotations

from skep.btf import types as t
from skep.btf.target import Target
from skep.errors import BtfError
from skep.object.core_path import MAX_TEXT, follow, local_path, numbers
from skep.object.core_types import essential_name, same_kind, types_compatible, types_match
from skep.object.core_values import RelocationKind, compare_sizes, field_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from skep.btf.btf import Btf
    from skep.object.core_path import Path

K = RelocationKind
_FIELD = frozenset(range(6))
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
    BTF, or the `Target` with it: types that the running kernel lacks are then looked for in its
    modules. Answers are cached: an object asks the same few questions in every program. Not
    thread-safe.
    """

    def __init__(self, local: Btf, target: Callable[[], Btf | Target]) -> None:
        self._local = local
        self._get_target = target
        self._target: Btf | None = None
        self._has_modules = False
        self._candidates: dict[tuple[str, int], list[t.Type]] = {}
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
            found = self._get_target()
            if isinstance(found, Target):
                self._has_modules = found.is_kernels_own
                found = found.require()
            self._target = found
        return self._target

    def _resolve(self, type_id: int, access: str, kind: int) -> Answer:
        root = self._local.type(type_id)
        title = titled(root, essential_name(root.name))
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
        for candidate in self.candidates(root):
            place = follow(path, candidate.btf, candidate.id)
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
                    compare_sizes(answer, path.place, place)
            answers.append(answer)
        if not answers and kind == K.FIELD_EXISTS:
            return Answer(title, name, 0, local=1)
        return self._agreed(answers, title, name, reason)

    def _type(self, root: t.Type, title: str, kind: int) -> Answer:
        btf = self._local
        # Matching looks at names and members; the other three only at the construction.
        relation = types_match if kind == K.TYPE_MATCHES else types_compatible
        answers = []
        for candidate in self.candidates(root):
            theirs = candidate.btf
            if relation(btf, root.id, theirs, candidate.id):
                if kind == K.TYPE_ID_TARGET:
                    # The compiler's is not compared: ids change in linking.
                    answers.append(Answer(title, "", kernel_id(theirs, candidate.id)))
                elif kind == K.TYPE_SIZE:
                    size = theirs.size_of(candidate.id)
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
        for candidate in self.candidates(root):
            theirs = candidate.btf.strip(candidate.id)
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

    def candidates(self, root: t.Type) -> list[t.Type]:
        """Return the target's types that *root* may stand for: same kind, same essential name.

        The kernel's own; only when it has none, those of its modules.
        """
        name = essential_name(root.name)
        if not name:
            raise BtfError(f"a CO-RE relocation is about type {root.id}, which has no name")
        key = (name, root.kind)
        found = self._candidates.get(key)
        if found is None:
            found = _of_kind(self.target, root, name)
            if not found and self._has_modules:
                from skep.btf.modules import modules_with

                for _, module in modules_with(name, self.target):
                    found += _of_kind(module, root, name)
            self._candidates[key] = found
        return found


def _of_kind(btf: Btf, root: t.Type, name: str) -> list[t.Type]:
    kind = None if isinstance(root, t.Enum) else root.kind
    every = [btf.type(id_) for id_ in btf.find(name, kind)]
    return [found for found in every if same_kind(root, found)]


KERNEL_ID = "skep: type id in the kernel "
"""The start of a declaration tag that `minimize` puts on a type whose id is asked for."""


def kernel_id(btf: Btf, id_: int) -> int:
    """Return the number that the kernel has for type *id_* of *btf*.

    The same one, except in a minimised BTF, which keeps the kernel's number in a tag.
    """
    for text in btf.strings_starting(KERNEL_ID):
        number = text.removeprefix(KERNEL_ID)
        for tag in btf.find(text, t.Kind.DECL_TAG):
            found = btf.type(tag)
            if isinstance(found, t.DeclTag) and found.type_id == id_ and number.isdecimal():
                return int(number)
    return id_


def titled(root: t.Type, name: str) -> str:
    """Return *name* as C calls a type of *root*'s kind: "struct task_struct"."""
    return f"{_WORDS.get(root.kind, '')}{name[:MAX_TEXT] or '(anonymous)'}"
