"""The logs are the kernel's own (6.18), cut to what matters."""

from __future__ import annotations

import pytest

from skep import asm
from skep.asm.code import Code
from skep.btf.btf import Btf
from skep.btf.writer import Builder
from skep.errors import RangeError
from skep.kernel.constants import ProgramType
from skep.maps.spec import kernel_name
from skep.programs.spec import ProgramSpec
from skep.programs.verifier import read_log, source_line

CONTEXT = """\
0: R1=ctx() R10=fp0
; return *(int *)((void*)skb + 4000); } @ bad.bpf.c:13
0: (61) r0 = *(u32 *)(r1 +4000)
invalid bpf_context access off=4000 size=4
processed 1 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""
LOOP = """\
2: (05) goto pc-1
; while (1) i++; @ bad.bpf.c:18
2: R0=0 R10=fp0
infinite loop detected at insn 2
cur state: R10=fp0
old state: R10=fp0
processed 4 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""
POISONED = """\
0: (85) call bpf_get_current_task#35   ; R0=scalar()
1: (85) call unknown#195896080
invalid func unknown#195896080
processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""
UNREAD = """\
caller:
 R1=ctx() R10=fp0
callee:
 frame1: R1=ctx() R10=fp0
7: (95) exit
R0 !read_ok
processed 8 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""
FLOW = "unreachable insn 5\nprocessed 0 insns (limit 1000000) max_states_per_insn 0\n"


@pytest.mark.parametrize(
    ("log", "reason", "instruction"),
    [
        (CONTEXT, "invalid bpf_context access off=4000 size=4", 0),
        (LOOP, "infinite loop detected at insn 2", 2),
        (POISONED, "invalid func unknown#195896080", 1),
        (UNREAD, "R0 !read_ok", 7),
        (FLOW, "unreachable insn 5", 5),
        ("", "", None),
        ("processed 0 insns (limit 1000000)\n", "", None),
        ("func#0 @0\nback-edge from insn 3 to 1\n", "back-edge from insn 3 to 1", 3),
    ],
)
def test_reason_and_place(log: str, reason: str, instruction: int | None) -> None:
    verdict = read_log(log)
    assert verdict.reason == reason
    assert verdict.instruction == instruction


def test_an_instruction_belongs_to_the_line_before_it() -> None:
    builder = Builder()
    file, first, second = (builder.string(s) for s in ("dir/a.c", "  int x = 1;", "return x;"))
    btf = Btf.from_bytes(builder.build())
    code = Code.of([asm.mov(0, 1)] * 4)
    code.lines = [(1, file, first, 12 << 10 | 5), (3, file, second, 13 << 10)]
    assert source_line(code, btf, 0) is None
    assert str(source_line(code, btf, 1)) == "a.c:12: int x = 1;"
    assert str(source_line(code, btf, 2)) == "a.c:12: int x = 1;"
    assert str(source_line(code, btf, 3)) == "a.c:13: return x;"
    assert source_line(code, None, 3) is None


def test_a_program_is_described_by_its_section() -> None:
    spec = ProgramSpec(name="x", section="fentry.s/do_y", code=[asm.mov(0, 0), asm.exit_()])
    assert spec.type == ProgramType.TRACING
    assert spec.attach_to == "do_y"
    assert spec.autoload
    assert spec.autoattach
    copy = spec.copy()
    copy.code.set_imm(0, 5)
    copy.attach_to = "other"
    assert spec.code.imm(0) == 0
    assert spec.attach_to == "do_y"
    assert copy.section == spec.section


def test_a_program_without_a_known_section_is_left_out_unless_typed() -> None:
    code = [asm.mov(0, 0), asm.exit_()]
    assert not ProgramSpec(name="x", section="mine", code=code).autoload
    assert ProgramSpec(name="x", type=ProgramType.XDP, code=code).autoload


def test_open_references_are_not_loaded() -> None:
    from skep.asm.code import Reference

    spec = ProgramSpec(name="x", section="socket", code=[*asm.ld_imm64(1, 0), asm.exit_()])
    spec.code.references.append(Reference(0, "map", "m"))
    with pytest.raises(RangeError, match="not filled in"):
        spec.load()


def test_names_are_cut_to_what_the_kernel_takes() -> None:
    assert kernel_name("a_rather_long_program_name") == "a_rather_long_p"
    assert kernel_name("x.é-y") == "x.__y"
