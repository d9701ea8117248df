"""The structure of a program: its instructions, its functions, where each goes.

What is wrong with that is found on the way: what is no instruction, jumps to nowhere, code that
is never reached, loops that nothing leaves, calls that go too deep.
"""

from __future__ import annotations

from skep.asm import opcodes as op
from skep.asm.effects import writes
from skep.asm.instruction import (
    ALU,
    ALU64,
    CALL,
    CLASS_MASK,
    EXIT,
    JA,
    LD_IMM64,
    PSEUDO_CALL,
    PSEUDO_FUNC,
    PSEUDO_KFUNC_CALL,
    SOURCE_MASK,
    Instruction,
)
from skep.asm.listing import target
from skep.asm.notation import text
from skep.asm.validity import fault
from skep.programs.problem import Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from skep.asm.code import Code
    from skep.btf.btf import Btf
    from skep.programs.problem import What

LONGEST = 1_000_000
"""BPF_COMPLEXITY_LIMIT_INSNS (include/linux/bpf.h), for privileged programs."""

DEEPEST = 8
"""MAX_CALL_FRAMES (include/linux/bpf_verifier.h)."""

# Problems after which it is not clear where the code goes.
_BREAKS = ("length", "instruction", "jump", "end")


class Structure:
    """The instructions of a program, its functions and who goes where; problems as they are found.

    `seconds` are the second halves of ld_imm64, `open` the indexes that the loader still fills
    in, `starts` where functions start, `reached` what can be executed. `broken` says that the code
    is too wrong to be followed.
    """

    def __init__(self, code: Code, labels: Mapping[int, str] | None = None) -> None:
        self.code = code
        self.labels = labels or {}
        self.instructions = code.instructions()
        self.names = {each.index: each.name for each in code.references}
        self.open = set(self.names)
        self.core = {each.index for each in code.core}
        self.problems: list[Problem] = []
        self.seconds = self._seconds()
        self.starts: list[int] = []
        self.reached: set[int] = set()
        if not 0 < len(self.instructions) <= LONGEST:
            message = f"it has {len(self.instructions)} instructions, not 1 to {LONGEST}"
            self.problems.append(Problem(0, "", "length", message))
        else:
            self._single()
            self._functions()
            self._edges()
        self.broken = any(each.kind in _BREAKS for each in self.problems)
        if not self.broken:
            self._reach()
            self._loops()
            self._depth()

    def add(self, index: int, kind: What, message: str) -> None:
        """Note a problem with the instruction at *index*."""
        self.problems.append(Problem(index, self.text(index), kind, message))

    def locate(self, btf: Btf | None) -> None:
        """Give the problems their source lines, from the code's table and *btf*."""
        from skep.programs.verifier import source_line

        for problem in self.problems:
            problem.line = source_line(self.code, btf, problem.index)

    def text(self, index: int) -> str:
        """Write the instruction at *index* out."""
        wide = index + 1 in self.seconds and index + 1 < len(self.instructions)
        second = self.instructions[index + 1] if wide else None
        name = self.names.get(index, "")
        goal = target(self.instructions[index], index)
        if not name and goal is not None:
            name = self.labels.get(goal, "")
        return text(self.instructions[index], second, name)

    def _seconds(self) -> set[int]:
        found = set[int]()
        for index, instruction in enumerate(self.instructions):
            if instruction.opcode == LD_IMM64 and index not in found:
                found.add(index + 1)
        found.discard(len(self.instructions))  # of a ld_imm64 that is cut off
        return found

    # -- each instruction by itself -------------------------------------------------------

    def _single(self) -> None:
        for index, instruction in enumerate(self.instructions):
            if index in self.seconds:
                continue
            second = None
            if index + 1 < len(self.instructions):
                second = self.instructions[index + 1]
            wrong = fault(instruction, second)
            if wrong:
                self.add(index, "instruction", f"is none: {wrong}")
                continue
            if writes(instruction) == 10:
                self.add(index, "frame", "writes to r10, the frame pointer, which is read-only")
            if _divides_by_zero(instruction) and index not in self.core:
                self.add(index, "division", "divides by zero")

    # -- where it goes --------------------------------------------------------------------

    def _functions(self) -> None:
        """Find where functions start: the entry, what is called, and what BTF names."""
        starts = {0}
        starts.update(index for index, _ in self.code.functions)
        for index, instruction in enumerate(self.instructions):
            if index in self.seconds or not self.calls(index):
                continue
            goal = target(instruction, index)
            if goal is None or not 0 <= goal < len(self.instructions):
                self.add(index, "jump", f"calls instruction {goal}, which does not exist")
            elif goal in self.seconds:
                self.add(index, "jump", f"calls the second half of the ld_imm64 at {goal - 1}")
            else:
                starts.add(goal)
        self.starts = sorted(start for start in starts if start < len(self.instructions))
        self._starts = set(self.starts)

    def calls(self, index: int) -> bool:
        """Whether the instruction refers to a function of the program."""
        if index in self.open:
            return False
        each = self.instructions[index]
        return (each.opcode == CALL and each.src == PSEUDO_CALL) or (
            each.opcode == LD_IMM64 and each.src == PSEUDO_FUNC
        )

    def _edges(self) -> None:
        """Check every jump, and the end of every function."""
        ends = [*self.starts[1:], len(self.instructions)]
        for start, end in zip(self.starts, ends, strict=True):
            last = end - 2 if end - 1 in self.seconds else end - 1
            for index in range(start, end):
                if index not in self.seconds and op.is_jump(self.instructions[index]):
                    self._edge(index, start, end)
            if not self._ends(last) and last >= start:
                where = "the program" if end == len(self.instructions) else "its function"
                self.add(last, "end", f"is the last of {where}, which runs on: end with exit")

    def _edge(self, index: int, start: int, end: int) -> None:
        goal = index + 1 + op.distance(self.instructions[index])
        if not 0 <= goal < len(self.instructions):
            count = len(self.instructions)
            self.add(index, "jump", f"jumps to instruction {goal}; the program has {count}")
        elif goal in self.seconds:
            self.add(index, "jump", f"jumps into the second half of the ld_imm64 at {goal - 1}")
        elif not start <= goal < end:
            self.add(index, "jump", f"jumps to instruction {goal}, in another function")

    def _ends(self, index: int) -> bool:
        """Whether the instruction never goes on to the next."""
        each = self.instructions[index]
        if each.opcode in (EXIT, JA, op.JA32):
            return True
        # bpf_throw and the like do not return; which function it is may still be open.
        return each.opcode == CALL and (each.src == PSEUDO_KFUNC_CALL or index in self.open)

    def next(self, index: int) -> list[int]:
        """List where the instruction may go on to within its function."""
        each = self.instructions[index]
        if each.opcode == EXIT:
            return []
        after = index + (2 if each.opcode == LD_IMM64 else 1)
        if each.opcode in (JA, op.JA32):
            return [index + 1 + op.distance(each)]
        if op.is_jump(each):
            return [after, index + 1 + op.distance(each)]
        return [] if after >= len(self.instructions) or after in self._starts else [after]

    # -- what is executed -----------------------------------------------------------------

    def flood(self, start: int, without: int = -1) -> set[int]:
        """Return what can be executed from *start* on in its function, not passing *without*."""
        found = set[int]()
        waiting = [start] if start != without else []
        while waiting:
            index = waiting.pop()
            if index not in found:
                found.add(index)
                waiting += [each for each in self.next(index) if each != without]
        return found

    def unavoidable(self, index: int) -> bool:
        """Whether the entry function cannot end without passing *index*."""
        if index not in self.functions[0]:
            return False
        return all(self.next(each) for each in self.flood(0, without=index))

    def _reach(self) -> None:
        """Find what is executed: functions that are called or named, from where they start."""
        self.functions: dict[int, set[int]] = {}
        named = {index for index, _ in self.code.functions}
        waiting = [0, *sorted(named - {0})]
        while waiting:
            start = waiting.pop()
            if start in self.functions:
                continue
            body = self.functions[start] = self.flood(start)
            self.reached |= body
            for index in body:
                if self.calls(index):
                    goal = target(self.instructions[index], index)
                    if goal is not None:
                        waiting.append(goal)
        lost = [
            index
            for index in range(len(self.instructions))
            if index not in self.reached and index not in self.seconds
        ]
        run = -2
        for index in lost:
            if index - 1 != run and index - 2 != run:
                self.add(index, "unreachable", "is never reached: nothing jumps or runs on to it")
            run = index

    def _loops(self) -> None:
        """Find the loops that nothing leaves: code from which no exit can be reached."""
        for body in self.functions.values():
            back: dict[int, list[int]] = {}
            leaves = list[int]()
            for index in body:
                following = self.next(index)
                for each in following:
                    back.setdefault(each, []).append(index)
                if not following or self._may_leave(index):
                    leaves.append(index)
            ending = set[int]()
            while leaves:
                index = leaves.pop()
                if index not in ending:
                    ending.add(index)
                    leaves += back.get(index, ())
            stuck = sorted(body - ending)
            if stuck:
                jump = next(
                    (i for i in stuck if any(each <= i for each in self.next(i))), stuck[-1]
                )
                self.add(jump, "loop", "closes a loop that nothing leaves")

    def _depth(self) -> None:
        """Find calls that go too deep: functions that call themselves, chains of nine."""
        depths: dict[int, int] = {0: 1}
        waiting = [0]
        while waiting:
            start = waiting.pop()
            for index in sorted(self.functions[start]):
                each = self.instructions[index]
                if each.opcode != CALL or not self.calls(index):
                    continue
                goal = target(each, index) or 0
                deeper = depths[start] + 1
                if deeper > DEEPEST:
                    self.add(
                        index,
                        "depth",
                        f"makes {deeper} functions call one another in turn;"
                        f" the kernel takes {DEEPEST}, and no recursion",
                    )
                    return
                if depths.get(goal, 0) < deeper:
                    depths[goal] = deeper
                    waiting.append(goal)

    def _may_leave(self, index: int) -> bool:
        """Whether a call may end the program: bpf_throw, or what is not known yet."""
        each = self.instructions[index]
        return each.opcode == CALL and (each.src == PSEUDO_KFUNC_CALL or index in self.open)


def _divides_by_zero(instruction: Instruction) -> bool:
    return (
        instruction.opcode & CLASS_MASK in (ALU, ALU64)
        and op.operation(instruction) in (op.DIV, op.MOD)
        and not instruction.opcode & SOURCE_MASK
        and instruction.imm == 0
    )
