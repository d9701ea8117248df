"""Programs put together from functions made by hand."""

from __future__ import annotations

import pytest

from skep import asm
from skep.asm.code import Code, CoreRecord, Reference
from skep.asm.instruction import CALL, PSEUDO_CALL, PSEUDO_FUNC
from skep.elf.reader import STB_GLOBAL, STT_FUNC, Section, Symbol
from skep.errors import ElfError
from skep.object import linker
from skep.object.functions import Function
from skep.object.linker import Shared, link

TEXT = Section(1, ".text", 1, 4, 0, 0, 0, 0, 0, 8, 0)
A_CALL = asm.Instruction(CALL, src=PSEUDO_CALL, imm=-1)


def function(name: str, number: int, *calls: int) -> Function:
    """A function at byte 1000 * *number* that calls others by number, then returns *number*."""
    code = Code.of([*[A_CALL] * len(calls), asm.mov(0, number), asm.exit_()])
    code.functions = [(0, number)]
    symbol = Symbol(number, name, number * 1000, len(code.data), STT_FUNC, STB_GLOBAL, 0, 1)
    made = Function(symbol, TEXT, code)
    made.calls = [(index, (1, other * 1000)) for index, other in enumerate(calls)]
    return made


def by_place(*functions: Function) -> dict[tuple[int, int], Function]:
    return {(1, each.offset): each for each in functions}


def targets(code: Code) -> list[tuple[int, int]]:
    """List (caller's function, called function) by BTF id, in the order of the code."""
    starts = dict(code.functions)
    found, current = [], 0
    for index, instruction in enumerate(code.instructions()):
        current = starts.get(index, current)
        if instruction.opcode == CALL:
            found.append((current, starts[index + 1 + instruction.imm]))
    return found


def test_each_function_once_depth_first() -> None:
    all_ = by_place(
        function("main", 1, 2, 3, 2), function("a", 2, 4), function("b", 3, 4), function("c", 4)
    )
    code, appended = link(all_[1, 1000], Shared(all_, "x.o"))
    assert [each.name for each in appended] == ["a", "c", "b"]
    assert targets(code) == [(1, 2), (1, 3), (1, 2), (2, 4), (3, 4)]


def test_recursion_is_left_to_the_verifier_to_refuse() -> None:
    all_ = by_place(function("main", 1, 2, 1), function("a", 2, 1, 2))
    code, _ = link(all_[1, 1000], Shared(all_, "x.o"))
    assert targets(code) == [(1, 2), (1, 1), (2, 1), (2, 2)]


def test_tables_move_with_their_function() -> None:
    main, sub = function("main", 1, 2), function("sub", 2)
    sub.code.references = [Reference(0, "map", "m")]
    sub.code.core = [CoreRecord(1, 7, "0:1", 0)]
    sub.code.lines = [(0, 1, 2, 3)]
    code, _ = link(main, Shared(by_place(main, sub), "x.o"))
    assert [r.index for r in code.references] == [3]
    assert [r.index for r in code.core] == [4]
    assert code.lines == [(3, 1, 2, 3)]
    assert [r.index for r in sub.code.references] == [0]


def test_a_callback_is_an_address() -> None:
    main, sub = function("main", 1), function("sub", 2)
    main.code = Code.of([*asm.ld_imm64(2, 99 << 32, src=PSEUDO_FUNC), asm.exit_()])
    main.calls = [(0, (1, 2000))]
    code, _ = link(main, Shared(by_place(main, sub), "x.o"))
    assert code.at(0).imm == 2  # from the next slot to slot 3
    assert code.at(1).imm == 0


def test_a_call_to_nowhere_names_the_caller() -> None:
    main = function("main", 1, 2)
    with pytest.raises(ElfError, match=r"x\.o: function 'main' calls byte 2000 of section 1"):
        link(main, Shared(by_place(main), "x.o"))


def test_the_number_of_functions_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linker, "MAX_SUBPROGRAMS", 3)
    chain = [function(f"f{n}", n, n + 1) for n in range(1, 6)] + [function("end", 6)]
    all_ = by_place(*chain)
    with pytest.raises(ElfError, match="calls more than 3 functions"):
        link(chain[0], Shared(all_, "x.o"))
    assert len(link(chain[2], Shared(all_, "x.o"))[1]) == 3
