"""Labels, comments, references: what `assemble` fills in, and what it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from skep import asm
from skep.asm import R0, R1, R2, R3, R10, W0, W1, Label, assemble, disassemble
from skep.errors import NotFoundError, RangeError, SkepError, TypeMismatchError

if TYPE_CHECKING:
    from collections.abc import Callable


class Counts:
    """Something with the name and the descriptor of a map."""

    name = "counts"

    def fileno(self) -> int:
        return 7


def test_labels_become_distances() -> None:
    made = assemble(
        [
            asm.jump("out"),
            "loop:",
            asm.ld_imm64(R1, 5),
            asm.jump_if(R1, "!=", 0, "loop"),
            asm.jump_long("loop"),
            asm.may_goto("out"),
            "out:",
            asm.exit_(),
        ]
    )
    assert made.labels == {"loop": 1, "out": 6}
    code = made.code.instructions()
    assert [code[0].offset, code[3].offset, code[4].imm, code[5].offset] == [5, -3, -4, 0]


def test_functions_are_labels_that_are_called() -> None:
    square = Label("square")
    made = assemble(
        [
            asm.call(square),
            asm.call_local("other"),
            asm.load_function(R2, "callback"),
            asm.exit_(),
            square,
            asm.exit_(),
            "other:",
            asm.exit_(),
            "callback:",
            asm.exit_(),
        ]
    )
    assert made.functions == {5: "square", 6: "other", 7: "callback"}
    code = made.code.instructions()
    assert [(i.src, i.imm) for i in code[:3]] == [(1, 4), (1, 4), (4, 4)]
    assert code[2].src == 4


def test_labels_without_a_name() -> None:
    def skip(register: asm.Register) -> list[object]:
        out = Label()
        return [asm.jump_if(register, "==", 0, out), asm.mov(register, 0), out]

    made = assemble([skip(R1), skip(R2), asm.exit_()])  # type: ignore[list-item]
    assert [i.offset for i in made.code.instructions()] == [1, 0, 1, 0, 0]
    assert made.labels == {"L2": 2, "L4": 4}


def test_references() -> None:
    counts = Counts()
    made = assemble(
        [
            asm.load_map(R1, "named"),
            asm.load_map(R1, counts),
            asm.load_map_value(R2, counts, 12),
            asm.load_map(R3, 9),
            asm.call_kernel("bpf_task_release"),
        ]
    )
    found = [(each.index, each.kind, each.name, each.offset) for each in made.code.references]
    assert found == [
        (0, "map", "named", 0),
        (2, "map", "counts", 0),
        (4, "data", "counts", 12),
        (8, "kfunc", "bpf_task_release", 0),
    ]
    assert made.maps == {"counts": counts}
    assert (made.code.at(6).src, made.code.at(6).imm) == (1, 9)


def test_two_live_maps_of_one_name_stay_two() -> None:
    one, other = Counts(), Counts()
    made = assemble([asm.load_map(R1, one), asm.load_map(R2, other), asm.load_map(R3, one)])
    assert [each.name for each in made.code.references] == ["counts", "counts#2", "counts"]
    assert made.maps == {"counts": one, "counts#2": other}


def test_lines_are_comments_or_pythons() -> None:
    first = asm.mov(R0, 0)
    made = assemble([first, "; add one", asm.add(R0, 1), asm.add(R0, 1), "; done", asm.exit_()])
    assert [(line.index, line.text) for line in made.lines] == [
        (0, ""),
        (1, "add one"),
        (3, "done"),
    ]
    assert made.lines[0].file == __file__
    assert made.lines[0].number == first.place[1]


def test_helpers_by_name_and_number() -> None:
    assert asm.call("ktime_get_ns") == asm.call("bpf_ktime_get_ns") == asm.call(5)
    with pytest.raises(NotFoundError) as caught:
        asm.call("ktime_get_nsec")
    assert str(caught.value) == (
        "there is no helper 'ktime_get_nsec' (did you mean ktime_get_ns,"
        " ktime_get_tai_ns, ktime_get_boot_ns, ktime_get_coarse_ns?)"
    )


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        (
            [asm.jump("otu"), "out:", asm.exit_()],
            NotFoundError,
            "filter: instruction 0 refers to the label 'otu', which is nowhere (did you mean out?)",
        ),
        (
            [asm.exit_(), asm.call_local("f")],
            NotFoundError,
            (
                "filter: instruction 1 refers to the label 'f', which is nowhere"
                " (the labels are: none)"
            ),
        ),
        (
            ["a:", asm.exit_(), "a:", asm.exit_()],
            RangeError,
            "filter: the label 'a' at instruction 1 is there already, at instruction 0",
        ),
        (
            [asm.jump("far"), *[asm.exit_()] * 40000, "far:", asm.exit_()],
            RangeError,
            (
                "filter: instruction 0 jumps to the label 'far', which is 40000 instructions away;"
                " jumps reach -32768 to 32767 (jump_long() reaches any label (v4))"
            ),
        ),
        (
            ["loop"],
            RangeError,
            (
                """filter: 'loop' is neither a label nor a comment (write a label as "name:","""
                """ a comment as "; text")"""
            ),
        ),
        ([7], TypeMismatchError, "int 7 is no instruction, label or comment"),
    ],
)
def test_what_is_refused(source: list[object], error: type[SkepError], words: str) -> None:
    with pytest.raises(error) as caught:
        assemble(source, name="filter")  # type: ignore[arg-type]
    assert str(caught.value) == words


def test_a_long_jump_reaches_further() -> None:
    made = assemble([asm.jump_long("far"), *[asm.exit_()] * 40000, "far:", asm.exit_()])
    assert made.code.imm(0) == 40000


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: asm.add(R1, W1), TypeMismatchError, r"r1 \+= w1: r1 has 64 bits and w1 has 32"),
        (lambda: asm.mov(R1, 1 << 31), RangeError, "does not fit the immediate"),
        (lambda: asm.and_(R1, 0xFFFFFFFF), RangeError, "load it with ld_imm64"),
        (lambda: asm.mov(W1, 1 << 32), RangeError, "does not fit the immediate"),
        (lambda: asm.mov(11, 0), RangeError, "there is no register 11; they are 0 to 10"),
        (lambda: asm.mov(cast("int", "r1"), 0), TypeMismatchError, "is a register .* not str 'r1'"),
        (
            lambda: asm.mov(R1, cast("int", "r2")),
            TypeMismatchError,
            "takes a register or a number, not str",
        ),
        (lambda: asm.mov(R1, cast("int", None)), TypeMismatchError, "takes a register or a number"),
        (lambda: asm.lsh(R1, 64), RangeError, "r1 <<= 64: r1 has 64 bits"),
        (lambda: asm.rsh(W1, 32), RangeError, "w1 >>= 32: w1 has 32 bits"),
        (lambda: asm.movsx(W1, W0, 32), RangeError, "extends from 8 or 16 bits, not 32"),
        (lambda: asm.to_be(R1, 24), RangeError, "16 or 32 or 64 bits, not 24"),
        (lambda: asm.to_be(W1, 32), TypeMismatchError, "use R1"),
        (lambda: asm.load(8, R1, R2, signed=True), RangeError, "nothing to sign-extend"),
        (lambda: asm.load(3, R1, R2), RangeError, "1, 2, 4 or 8"),
        (lambda: asm.load(4, W1, R2), TypeMismatchError, "R1, not w1"),
        (lambda: asm.load(4, R1, R10, -32769), RangeError, "offset -32769 is not within"),
        (lambda: asm.ld_abs(8, 0), RangeError, "1, 2 or 4"),
        (lambda: asm.atomic_add(2, R1, 0, R2), RangeError, "4 or 8 bytes, not 2"),
        (lambda: asm.jump_if(R1, "=", 0, 1), RangeError, "'=' is no comparison"),
        (lambda: asm.jump_if(R1, "==", W0, 1), TypeMismatchError, "64 bits and w0 has 32"),
        (lambda: asm.jump(40000), RangeError, "offset 40000"),
        (lambda: asm.load_map(R1, 1 << 32), RangeError, "32 bits"),
        (lambda: asm.ld_imm64(R1, 1 << 64), RangeError, "64 bits of a ld_imm64"),
        (lambda: asm.addr_space_cast(R1, R2, to=1 << 16, origin=0), RangeError, "address space"),
    ],
)
def test_operands_that_do_not_fit(
    make: Callable[[], object], error: type[SkepError], words: str
) -> None:
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize(
    ("made", "version"),
    [
        (asm.mov(R1, R2), 1),
        (asm.atomic_add(8, R1, 0, R2), 1),
        (asm.jump_if(R1, ">", 0, 1), 1),
        (asm.jump_if(R1, "<", 0, 1), 2),
        (asm.jump_if(R1, "s<=", 0, 1), 2),
        (asm.jump_if(W1, "==", 0, 1), 3),
        (asm.atomic_add(8, R1, 0, R2, fetch=True), 3),
        (asm.atomic_or(8, R1, 0, R2), 3),
        (asm.sdiv(R1, 2), 4),
        (asm.movsx(R1, R2, 8), 4),
        (asm.bswap(R1, 16), 4),
        (asm.to_be(R1, 16), 1),
        (asm.load(4, R1, R2, signed=True), 4),
        (asm.jump_long(1), 4),
        (asm.may_goto(1), 4),
        (asm.load_acquire(8, R1, R2), 4),
        (asm.store_release(8, R1, 0, R2), 4),
        (asm.addr_space_cast(R1, R2, to=0, origin=1), 4),
        (asm.call(1), 1),
        (asm.exit_(), 1),
        (asm.ld_abs(4, 0), 1),
        (asm.store(4, R1, 0, 1), 1),
    ],
)
def test_versions(made: asm.Instruction, version: int) -> None:
    assert asm.instruction_version(made) == version


def test_a_listing_with_everything() -> None:
    made = assemble(
        [
            asm.load_map(R1, "counts"),
            asm.load_map_value(R2, "totals", 8),
            asm.call("map_lookup_elem"),
            "again:",
            asm.jump_if(R0, "==", 0, "out"),
            asm.atomic_add(8, R0, 0, R1),
            asm.jump("again"),
            "out:",
            asm.call_local("double"),
            asm.call_kernel("bpf_throw"),
            asm.exit_(),
            "double:",
            asm.load_btf_id(R3, 77),
            asm.load_map_index_value(R3, 2, 4),
            asm.Instruction(0xFF, 1, 2, 3, 4),
        ]
    )
    lines = disassemble(
        made.code,
        names={**made.functions, 5: "again"},
        source=lambda index: "a.c:1: count" if index < 5 else "",
    )
    assert lines == [
        "; a.c:1: count",
        "   0: r1 = map[counts] ll",
        "   2: r2 = map[totals][0]+8 ll",
        "   4: call bpf_map_lookup_elem#1",
        "again:",
        "   5: if r0 == 0x0 goto +2 <L1>",
        "   6: lock *(u64 *)(r0 + 0) += r1",
        "   7: goto -3 <again>",
        "L1:",
        "   8: call +2 <double>",
        "   9: call bpf_throw",
        "  10: exit",
        "double:",
        "  11: r3 = btf[id:77] ll",
        "  13: r3 = map[index:2][0]+4 ll",
        "  15: .insn 0xff dst=1 src=2 off=3 imm=0x4",
    ]
    bare = disassemble(made.code, labels=False)
    assert bare[3:6] == [
        "   5: if r0 == 0x0 goto +2",
        "   6: lock *(u64 *)(r0 + 0) += r1",
        "   7: goto -3",
    ]
    assert len(bare) == len([line for line in lines if line.startswith(" ")])
