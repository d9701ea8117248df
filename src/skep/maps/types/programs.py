"""`ProgramArray`: PROG_ARRAY maps, the jump tables of `bpf_tail_call`.

Source: kernel/bpf/arraymap.c and kernel/bpf/core.c ``bpf_prog_map_compatible``, Linux 6.18.
"""

from __future__ import annotations

import errno

from skep.errors import SkepError, TypeMismatchError
from skep.kernel.constants import ProgramType, name_of
from skep.maps.types.handles import HandleMap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from skep.errors import KernelError


class ProgramArray(HandleMap[int, int]):
    """A live array of programs.

    ``m[index] = program`` puts a program in (a `Program`, or its descriptor), and from then on
    tail calls to *index* go there: a running program can be given other parts, one at a time.
    ``m[index]`` is the id of the program there, `MissingKeyError` when there is none, as then a
    tail call falls through. ``del m[index]`` takes it out. Iteration gives the indices in use.

    All programs in it, and all that jump through it, are of one type, set by the first of either:
    `program_type`.

    **The kernel empties the array when nobody in user space has it open or pinned any more**
    (``prog_fd_array_map_clear``), even while programs use it: keep it open, or pin it.
    """

    __slots__ = ()

    WHAT = "a program"

    @property
    def program_type(self) -> ProgramType | None:
        """Which type of programs it takes; None while that is open, or where /proc is missing."""
        from skep.kernel import descriptors

        number = descriptors.facts(self._fd).get("owner_prog_type", "")
        return ProgramType(int(number)) if number.isdecimal() else None

    def __iter__(self) -> Iterator[int]:
        return (index for index, _ in self.items())

    def count(self) -> int:
        """Return how many indices have a program."""
        return sum(1 for _ in self.items())

    def _refusal(self, error: KernelError, value: Any) -> SkepError | None:
        if error.errno == errno.EINVAL:
            found = self._mismatch(value)
            if found is not None:
                return found
        return super()._refusal(error, value)

    def _mismatch(self, value: Any) -> TypeMismatchError | None:
        """Make the error for a *value* that is no program, or one of another type."""
        from skep.kernel.descriptors import type_of_program

        number = value.fileno() if hasattr(value, "fileno") else value
        evidence: dict[str, Any] = {"given": value, "map": self.name, "role": "value"}
        given = type_of_program(number)
        if given is None:
            message = f"{self._what()} takes a program, and {value!r:.60} is none"
            return TypeMismatchError(message, expected="a program", **evidence)
        wanted = self.program_type
        name = name_of(ProgramType, given)
        if wanted is None:
            return None
        expected = name_of(ProgramType, wanted)
        if wanted == given:
            return TypeMismatchError(
                f"{self._what()} does not take {value!r:.60}: it is {name} as its other programs,"
                " but for another attach type, function or context",
                hint="tail calls need the same expected attach type and attach target, and"
                " programs that both are, or both are not, compiled to machine code",
                expected=expected,
                **evidence,
            )
        return TypeMismatchError(
            f"{self._what()} takes {expected} programs, and {value!r:.60} is {name}",
            hint="the first program that was put in, or that jumps through it, decided the type",
            expected=expected,
            **evidence,
        )
