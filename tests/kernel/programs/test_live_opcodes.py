"""Which bytes are instructions: our answer and the kernel's, for every opcode."""

from __future__ import annotations

from needs import EMULATED

import skep
from skep import asm
from skep.asm import R0, R1, R2, R6, R10, Register
from skep.asm.instruction import LD_IMM64
from skep.asm.validity import fault
from skep.errors import VerifierError
from skep.kernel.features import feature
from skep.programs.new_instructions import feature_of

# What the verifier calls an instruction that is none.
NONE = (
    "unknown opcode", "unknown insn class", "reserved field", "uses reserved", "invalid BPF_",
    "invalid atomic operand size", "BPF_ATOMIC uses invalid atomic opcode", "invalid bpf_ld_imm64",
    "unrecognized bpf_ld_imm64", "invalid shift", "opcode",
)  # fmt: skip


def verdict(instruction: asm.Instruction) -> str:
    """Return "" when the kernel takes a program with *instruction*, else its last words."""
    code = asm.assemble(
        [
            asm.mov(R6, R1),
            asm.call("get_prandom_u32"),
            [asm.mov(Register(number), 1) for number in (1, 3, 4, 5, 7, 8, 9)],
            asm.mov(R2, R10),
            asm.store(8, R10, -8, 0),
            asm.store(8, R10, -16, 0),
            asm.add(R2, -16),
            asm.jump_if(R0, "==", 0, "end"),
            asm.jump_if(R0, "==", 1, "tail"),
            instruction,
            [asm.Instruction(0)] if instruction.opcode == LD_IMM64 else [],
            "end:",
            asm.mov(R0, 0),
            asm.exit_(),
            "tail:",  # where jumps over eight instructions arrive
            [asm.mov(R0, 0)] * 12,
            asm.exit_(),
        ]
    ).code
    spec = skep.ProgramSpec(name="p", type="socket_filter", code=code, license="GPL")
    try:
        spec.load().close()
    except VerifierError as error:
        return error.cause or str(error)
    return ""


def test_every_opcode_with_every_field() -> None:
    taken = refused = 0
    for opcode in range(256):
        for src in (0, 2):
            for offset in (0, 1, 8):
                for imm in (0, 1) if EMULATED else (0, 1, 16, 0x41, 0x100):
                    one = asm.Instruction(opcode, 2, src, offset, imm)
                    wrong = fault(one, asm.Instruction(0))
                    said = verdict(one)
                    if not said:
                        assert not wrong, (one, wrong)
                        taken += 1
                    elif wrong:
                        refused += 1
                    elif not feature_of(one) or feature(feature_of(one)).available():
                        # Refused for what it does here, not for what it is.
                        assert not any(words in said for words in NONE), (one, said)
    assert taken > 100
    assert refused > 2000
