"""Programs made at random, of which the verifier takes some and refuses others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from skep import asm
from skep.asm import R0, R2, R6, R10, W0, W6

if TYPE_CHECKING:
    from skep.asm.instruction import Instruction

SOURCES = st.sampled_from([R0, R6, R6, R6, R2, R10])
RESULTS = st.sampled_from([R0, R2, R6, R6, R6])
BASES = st.sampled_from([R10, R10, R10, R2])
VALUES = st.integers(-3, 600)
NEAR = st.integers(-5, 6)
STACK = st.integers(-66, 1).map(lambda number: 8 * number)
SIZES = st.sampled_from([1, 2, 4, 8])
COMPARISONS = st.sampled_from(["==", "s<", ">", "&"])


def toss(operator: str, value: int, target: int) -> list[Instruction]:
    """Go either way: the verifier must follow both, as the value is random."""
    return [asm.call("get_prandom_u32"), asm.jump_if(R0, operator, value, target)]


ARITHMETIC = st.one_of(
    st.builds(asm.mov, RESULTS, st.one_of(SOURCES, VALUES)),
    st.builds(asm.mov, st.just(R2), st.just(R10)),
    st.builds(asm.add, RESULTS, st.one_of(VALUES, STACK)),
    st.builds(asm.add, st.sampled_from([W0, W6]), st.one_of(st.sampled_from([W0, W6]), VALUES)),
    st.builds(asm.div, RESULTS, st.integers(0, 9)),
    st.builds(asm.neg, RESULTS),
)
MEMORY = st.one_of(
    st.builds(asm.load, SIZES, RESULTS, BASES, STACK),
    st.builds(asm.store, SIZES, BASES, STACK, st.one_of(SOURCES, VALUES)),
    st.builds(asm.atomic_add, st.sampled_from([4, 8]), BASES, STACK, SOURCES),
)
JUMPS = st.one_of(
    st.builds(asm.jump, NEAR),
    st.builds(toss, COMPARISONS, st.integers(1, 3), NEAR),
    st.builds(toss, COMPARISONS, st.integers(1, 3), st.integers(0, 3)),
    st.builds(asm.call_local, NEAR),
    st.sampled_from([asm.call("ktime_get_ns"), asm.exit_()]),
)
CONSTANTS = st.builds(asm.ld_imm64, RESULTS, VALUES)


@st.composite
def programs(draw: st.DrawFn) -> list[Instruction]:
    """Draw a program of up to 20 slots, which often starts and ends as programs should."""
    made: list[Instruction] = []
    if draw(st.integers(0, 9)):
        made += [asm.mov(R0, 0), asm.mov(R6, 1), asm.mov(R2, R10)]
    for _ in range(draw(st.integers(0, 7))):
        part = draw(st.one_of(ARITHMETIC, ARITHMETIC, MEMORY, MEMORY, JUMPS, CONSTANTS))
        made += part if isinstance(part, list) else [part]
    if draw(st.booleans()):
        made.append(asm.mov(R0, 0))
    if draw(st.integers(0, 9)):
        made.append(asm.exit_())
    return made or [asm.exit_()]
