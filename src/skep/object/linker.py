"""Making whole programs: the entry function, then every function it calls, calls filled in.

The kernel takes a program as one piece of code in which calls are relative. Functions follow in
the order in which they are first called, depth first, as in libbpf, so that listings of the two
loaders can be compared. An exception callback, which nothing calls, comes last.
"""

from __future__ import annotations

from skep.asm.instruction import PSEUDO_FUNC
from skep.btf import types as t
from skep.errors import ElfError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from skep.asm.code import Code
    from skep.btf.btf import Btf
    from skep.object.functions import Function

# MAX_CALL_FRAMES and BPF_MAX_SUBPROGS of include/linux/bpf_verifier.h limit what can be loaded;
# this limits what is tried.
MAX_SUBPROGRAMS = 512

EXCEPTION = "exception_callback:"
"""What the declaration tag of a program with an exception callback starts with."""
MAX_COPIES = 1 << 25
"""Bytes of all copies of subprograms in the programs of one object, tables included, or 32 times
the file's if that is more. Each program gets its own copies, so that a thousand small programs that
call one large function are a thousand large programs."""
_ROW = 128  # bytes of memory that a row of a table, or a call to be filled in, takes
_EACH = 256  # what a copied function takes besides


class Shared:
    """What the links of one object share: its functions by place and name, and room for copies.

    *size* is the file's in bytes.
    """

    __slots__ = ("_by_name", "functions", "name", "room")

    def __init__(
        self, functions: Mapping[tuple[int, int], Function], name: str, size: int = 0
    ) -> None:
        self.functions = functions
        self.name = name
        self.room = max(MAX_COPIES, 32 * size)
        self._by_name: dict[str, Function] | None = None

    def named(self, name: str) -> Function | None:
        """Return the global function called *name*."""
        if self._by_name is None:
            self._by_name = {}
            for function in self.functions.values():
                if not function.is_static:
                    self._by_name.setdefault(function.name, function)
        return self._by_name.get(name)

    def charge(self, function: Function) -> bool:
        """Whether there is room for a copy of *function*, which is then taken."""
        code = function.code
        rows = len(code.references) + len(code.core) + len(code.lines) + len(function.calls)
        self.room -= len(code.data) + _ROW * rows + _EACH
        return self.room >= 0


def link(
    entry: Function, shared: Shared, callbacks: Sequence[str] = ()
) -> tuple[Code, list[Function]]:
    """Link *entry* with what it calls; return the code and the subprograms appended to it.

    *shared* has all functions of the object. *callbacks* are the names of the exception
    callbacks that the entry declares: at most one, and a global function. Raises `ElfError` when a
    call leads to no function, or when one of the functions is itself a problem.
    """
    return _Linker(entry, shared).link(callbacks)


class _Linker:
    def __init__(self, entry: Function, shared: Shared) -> None:
        self.entry = entry
        self.shared = shared
        self.functions = shared.functions
        self.name = shared.name
        self.code = _sound(entry).code.copy()
        self.starts: dict[tuple[int, int], int] = {(entry.section.index, entry.offset): 0}
        self.appended: list[Function] = []

    def link(self, callbacks: Sequence[str]) -> tuple[Code, list[Function]]:
        self._follow(self.entry, 0)
        if callbacks:
            callback = self._exception_callback(callbacks)
            place = (callback.section.index, callback.offset)
            if place not in self.starts:
                self._follow(callback, self._append(place, callback))
        self.code.core.sort(key=lambda record: record.index)
        return self.code, self.appended

    def _follow(self, first: Function, at: int) -> None:
        """Append all that *first*, whose code starts at *at*, calls, and what that calls."""
        code = self.code
        # (function, where it starts, which of its calls is next): recursion made explicit.
        stack: list[tuple[Function, int, int]] = [(first, at, 0)]
        while stack:
            function, start, which = stack.pop()
            if which == len(function.calls):
                continue
            stack.append((function, start, which + 1))
            index, place = function.calls[which]
            target = self.starts.get(place)
            if target is None:
                called = self.functions.get(place)
                if called is None:
                    raise self._error(
                        f"function {function.name!r} calls byte {place[1]} of section"
                        f" {place[0]}, where no function starts"
                    )
                target = self._append(place, called)
                stack.append((called, target, 0))
            instruction = start + index
            code.set_imm(instruction, target - instruction - 1)
            if code.at(instruction).src == PSEUDO_FUNC:
                code.set_imm(instruction + 1, 0)

    def _append(self, place: tuple[int, int], function: Function) -> int:
        if len(self.appended) >= MAX_SUBPROGRAMS:
            raise self._error(f"{self.entry.name!r} calls more than {MAX_SUBPROGRAMS} functions")
        if not self.shared.charge(_sound(function)):
            raise self._error(
                f"its programs call the same functions again and again: with a copy for each they"
                f" take more than {MAX_COPIES} bytes"
            )
        at = self.starts[place] = self.code.append(function.code)
        self.appended.append(function)
        return at

    def _exception_callback(self, names: Sequence[str]) -> Function:
        """Return the function that handles exceptions of the entry."""
        what = f"program {self.entry.name!r} declares"
        if len(names) > 1:
            listing = ", ".join(names)
            raise self._error(f"{what} {len(names)} exception callbacks, {listing}; one is allowed")
        function = self.shared.named(names[0])
        if function is not None:
            return function
        raise self._error(
            f"{what} the exception callback {names[0]!r}, which is no global function of it"
        )

    def _error(self, what: str) -> ElfError:
        return ElfError(f"{self.name}: {what}", source=self.name)


def _sound(function: Function) -> Function:
    if function.problem is not None:
        raise function.problem.with_traceback(None)
    return function


def exception_callbacks(btf: Btf | None) -> dict[int, list[str]]:
    """Return the names of the exception callbacks that functions declare, by the function's id.

    A program that throws (the kfunc bpf_throw, Linux 6.7) names the function that handles it in a
    declaration tag; no instruction refers to it.
    """
    found: dict[int, list[str]] = {}
    if btf is not None and EXCEPTION.encode() in btf.raw:
        for tag in btf.types():
            if isinstance(tag, t.DeclTag) and tag.name.startswith(EXCEPTION):
                names = found.setdefault(tag.type_id, [])
                if len(names) < 4:  # one is allowed; the others are for the message
                    names.append(tag.name.removeprefix(EXCEPTION))
    return found
