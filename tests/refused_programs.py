"""Programs that the check before a load refuses: what it says of each, and of what kind that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skep import asm
from skep.asm import R0, R1, R2, R3, R4, R6, R10, W0

if TYPE_CHECKING:
    from skep.asm.items import Source

END: list[Source] = [asm.mov(R0, 0), asm.exit_()]

# name: (program, the problems as (index, kind, message)).
REFUSED: dict[str, tuple[list[Source], list[tuple[int, str, str]]]] = {
    "empty": ([], [(0, "length", "it has 0 instructions, not 1 to 1000000")]),
    "unreachable": (
        [*END, asm.mov(R0, 1), asm.ld_imm64(R1, 2), asm.exit_()],
        [(2, "unreachable", "is never reached: nothing jumps or runs on to it")],
    ),
    "two places that are unreachable": (
        [asm.jump("a"), asm.mov(R0, 1), "a:", asm.mov(R0, 0), asm.exit_(), asm.exit_()],
        [
            (1, "unreachable", "is never reached: nothing jumps or runs on to it"),
            (4, "unreachable", "is never reached: nothing jumps or runs on to it"),
        ],
    ),
    "a store below the stack": (
        [asm.store(8, R10, -520, 0), *END],
        [(0, "stack", "writes 8 bytes at r10-520, outside of the stack (r10-512 to r10-1)")],
    ),
    "a load above the stack": (
        [asm.load(4, R0, R10, -2), asm.exit_()],
        [(0, "stack", "reads 4 bytes at r10-2, outside of the stack (r10-512 to r10-1)")],
    ),
    "an atomic below the stack, through a copy": (
        [
            asm.mov(R2, R10),
            asm.add(R2, -500),
            asm.mov(R3, R2),
            asm.mov(R4, 1),
            asm.atomic_add(8, R3, -16, R4),
            *END,
        ],
        [(4, "stack", "writes 8 bytes at r10-516, outside of the stack (r10-512 to r10-1)")],
    ),
    "a stack of its own in a function": (
        [asm.call_local("f"), asm.exit_(), "f:", asm.store(1, R10, -513, 0), *END],
        [(2, "stack", "writes 1 byte at r10-513, outside of the stack (r10-512 to r10-1)")],
    ),
    "no such helper": (
        [asm.call(999), asm.exit_()],
        [(0, "helper", "calls helper 999, which does not exist (the last is 211)")],
    ),
    "a loop without an exit": (
        ["again:", asm.mov(R0, 1), asm.jump("again")],
        [(1, "loop", "closes a loop that nothing leaves")],
    ),
    "a loop without an exit, with branches in it": (
        [
            "again:",
            asm.call("get_prandom_u32"),
            asm.jump_if(R0, "==", 0, "again"),
            asm.jump("again"),
        ],
        [(1, "loop", "closes a loop that nothing leaves")],
    ),
    "recursion": (
        [asm.call_local("f"), asm.exit_(), "f:", asm.call_local("f"), asm.exit_()],
        [
            (
                2,
                "depth",
                "makes 9 functions call one another in turn; the kernel takes 8, and no recursion",
            )
        ],
    ),
    "a jump past the end": (
        [asm.jump(5), *END],
        [(0, "jump", "jumps to instruction 6; the program has 3")],
    ),
    "a jump before the start": (
        [asm.mov(R0, 0), asm.jump_if(R0, "==", 1, -4), asm.exit_()],
        [(1, "jump", "jumps to instruction -2; the program has 3")],
    ),
    "a jump into a constant": (
        [asm.jump(1), asm.ld_imm64(R0, 5), asm.exit_()],
        [(0, "jump", "jumps into the second half of the ld_imm64 at 1")],
    ),
    "a jump into another function": (
        [asm.call_local("f"), asm.jump(1), "f:", asm.mov(R0, 0), asm.exit_()],
        [(1, "jump", "jumps to instruction 3, in another function")],
    ),
    "a call to nowhere": (
        [asm.call_local(9), asm.exit_()],
        [(0, "jump", "calls instruction 10, which does not exist")],
    ),
    "a call into a constant": (
        [asm.call_local(1), asm.ld_imm64(R0, 5), asm.exit_()],
        [(0, "jump", "calls the second half of the ld_imm64 at 1")],
    ),
    "no exit": (
        [asm.mov(R0, 0)],
        [(0, "end", "is the last of the program, which runs on: end with exit")],
    ),
    "a function without an exit": (
        [asm.call_local("g"), asm.call_local("f"), asm.exit_(), "f:", asm.mov(R0, 1), "g:", *END],
        [(3, "end", "is the last of its function, which runs on: end with exit")],
    ),
    "no result": (
        [asm.mov(R1, 0), asm.exit_()],
        [(1, "register", "returns r0, which has no value on any path to it")],
    ),
    "a register without a value": (
        [asm.mov(R0, 0), asm.add(R0, R6), asm.exit_()],
        [(1, "register", "reads r6, which has no value on any path to it")],
    ),
    "a register that a call took away": (
        [asm.mov(R2, 7), asm.call("ktime_get_ns"), asm.mov(R0, R2), asm.exit_()],
        [(2, "register", "reads r2, which has no value after a call")],
    ),
    "division by zero": (
        [asm.mov(R0, 8), asm.div(R0, 0), asm.mod(W0, 0), asm.exit_()],
        [(1, "division", "divides by zero"), (2, "division", "divides by zero")],
    ),
    "the frame pointer changed": (
        [asm.add(R10, -8), *END],
        [(0, "frame", "writes to r10, the frame pointer, which is read-only")],
    ),
    "no such opcode": (
        [asm.Instruction(0xFF), *END],
        [(0, "instruction", "is none: there is no instruction with opcode 0xff")],
    ),
    "no such register": (
        [asm.Instruction(0xBF, 11, 1), *END],
        [(0, "instruction", "is none: there is no register r11")],
    ),
    "a reserved field in use": (
        [asm.Instruction(0x95, 0, 0, 0, 3), *END],
        [(0, "instruction", "is none: it uses imm, which must be 0")],
    ),
    "half a constant": (
        [asm.mov(R0, 0), asm.Instruction(0x18, 1)],
        [
            (1, "instruction", "is none: its second half is missing"),
            (1, "end", "is the last of the program, which runs on: end with exit"),
        ],
    ),
    "a shift too far": (
        [asm.mov(R0, 1), asm.Instruction(0x67, 0, 0, 0, 64), asm.exit_()],
        [(1, "instruction", "is none: it shifts 64 bits by 64")],
    ),
    "a call through a register": (
        [asm.mov(R0, 1), asm.call_register(R0), asm.exit_()],
        [(1, "instruction", "is none: no kernel takes calls through a register")],
    ),
    "an atomic that does not exist": (
        [asm.mov(R0, 1), asm.Instruction(0xDB, 10, 0, -8, 0x77), asm.exit_()],
        [(1, "instruction", "is none: there is no atomic operation 0x77")],
    ),
}
