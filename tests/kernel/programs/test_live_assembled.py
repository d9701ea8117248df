"""Programs written in Python, loaded and run; what each instruction computes, by value."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

import pytest
from needs import need, need_function

import skep
from skep import asm
from skep.asm import (
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R10,
    W0,
    W1,
    W2,
    Label,
)  # fmt: skip
from skep.errors import NotFoundError, RangeError, VerifierError
from skep.kernel.constants import MapType, ProgramType
from skep.maps.spec import MapSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skep.asm.items import Source

MASK = (1 << 64) - 1
U32 = (1 << 32) - 1


def run(instructions: list[Source], *context: int) -> tuple[int, ...]:
    """Run a program on an array of 64-bit numbers, its context, and return what it left there."""
    spec = skep.ProgramSpec(
        name="computes", type="syscall", instructions=instructions, license="GPL"
    )
    given = struct.pack(f"={len(context)}Q", *(number & MASK for number in context))
    with spec.load() as program:
        return struct.unpack(f"={len(context)}Q", program.test_run(ctx=given).ctx_out)


def compute(part: list[Source], left: int, right: int = 0) -> int:
    """Run *part* with r2 = *left* and r3 = *right*; return r2."""
    return run(
        [
            asm.mov(R6, R1),
            asm.load(8, R2, R6, 0),
            asm.load(8, R3, R6, 8),
            part,
            asm.store(8, R6, 0, R2),
            asm.mov(R0, 0),
            asm.exit_(),
        ],
        left,
        right,
    )[0]


BIG = 0x8899AABBCCDDEEFF
W3 = asm.W3


@pytest.mark.parametrize(
    ("part", "left", "right", "expected"),
    [
        (asm.mov(R2, -2), 0, 0, -2),
        (asm.mov(W2, -2), 0, 0, U32 - 1),
        (asm.mov(W2, W3), 0, BIG, BIG & U32),
        (asm.ld_imm64(R2, BIG), 0, 0, BIG),
        (asm.add(R2, R3), MASK, 2, 1),
        (asm.add(W2, W3), U32, 2, 1),
        (asm.add(R2, -5), 3, 0, -2),
        (asm.sub(R2, R3), 3, 5, -2),
        (asm.sub(W2, 5), 3, 0, U32 - 1),
        (asm.mul(R2, R3), 1 << 63, 3, 1 << 63),
        (asm.mul(W2, 7), 1 << 31, 0, 1 << 31),
        (asm.div(R2, R3), BIG, 10, BIG // 10),
        (asm.div(R2, R3), BIG, 0, 0),
        (asm.div(W2, 10), BIG, 0, (BIG & U32) // 10),
        (asm.mod(R2, R3), BIG, 10, BIG % 10),
        (asm.mod(R2, R3), BIG, 0, BIG),
        (asm.mod(W2, 10), BIG, 0, (BIG & U32) % 10),
        (asm.or_(R2, R3), 0xF0, 0x0F, 0xFF),
        (asm.and_(R2, -2), BIG, 0, BIG & ~1),
        (asm.and_(W2, -2), BIG, 0, BIG & U32 & ~1),
        (asm.xor(R2, R3), BIG, BIG, 0),
        (asm.lsh(R2, 4), BIG, 0, BIG << 4),
        (asm.lsh(R2, R3), BIG, 63, 1 << 63),
        (asm.rsh(R2, R3), BIG, 60, 8),
        (asm.rsh(W2, 28), BIG, 0, 0xC),
        (asm.arsh(R2, 60), BIG, 0, -8),
        (asm.arsh(W2, 28), BIG, 0, U32 & -4),
        (asm.neg(R2), 5, 0, -5),
        (asm.neg(W2), 5, 0, U32 - 4),
        (asm.to_be(R2, 16), 0x1122334455667788, 0, 0x8877),
        (asm.to_be(R2, 32), 0x1122334455667788, 0, 0x88776655),
        (asm.to_be(R2, 64), 0x1122334455667788, 0, 0x8877665544332211),
        (asm.to_le(R2, 32), 0x1122334455667788, 0, 0x55667788),
    ],
)
def test_arithmetic(part: Source, left: int, right: int, expected: int) -> None:
    assert compute([part], left, right) == expected & MASK


@pytest.mark.parametrize(
    ("part", "left", "right", "expected"),
    [
        (asm.sdiv(R2, R3), -7, 2, -3),
        (asm.sdiv(R2, -2), 7, 0, -3),
        (asm.sdiv(W2, W3), -7, -2, 3),
        (asm.sdiv(R2, R3), -7, 0, 0),
        (asm.smod(R2, R3), -7, 2, -1),
        (asm.smod(R2, -2), 7, 0, 1),
        (asm.smod(W2, 4), -7, 0, U32 - 2),
        (asm.movsx(R2, R3, 8), 0, 0x1180, -0x80),
        (asm.movsx(R2, R3, 16), 0, 0x118000, -0x8000),
        (asm.movsx(R2, R3, 32), 0, 0x1180000000, -0x80000000),
        (asm.movsx(W2, W3, 8), 0, 0x1180, U32 & -0x80),
        (asm.movsx(W2, W3, 16), 0, 0x7FFF, 0x7FFF),
        (asm.bswap(R2, 16), 0x1122334455667788, 0, 0x8877),
        (asm.bswap(R2, 32), 0x1122334455667788, 0, 0x88776655),
        (asm.bswap(R2, 64), 0x1122334455667788, 0, 0x8877665544332211),
        (asm.load(1, R2, 6, 8, signed=True), 0, 0x80, -0x80),
        (asm.load(2, R2, 6, 8, signed=True), 0, 0x8000, -0x8000),
        (asm.load(4, R2, 6, 8, signed=True), 0, 0x80000000, -0x80000000),
        (
            [
                asm.jump_long("there"),
                "back:",
                asm.jump("on"),
                "there:",
                asm.mov(R2, 1),
                asm.jump_long("back"),
                "on:",
            ],
            0,
            0,
            1,
        ),
    ],
)
def test_version_4(part: Source, left: int, right: int, expected: int) -> None:
    need("cpu_v4")
    assert compute([part], left, right) == expected & MASK


@pytest.mark.parametrize("wide", [True, False], ids=["r", "w"])
@pytest.mark.parametrize("by_register", [True, False], ids=["register", "number"])
@pytest.mark.parametrize(
    ("operator", "truth"),
    [
        ("==", lambda a, b, _: a == b),
        ("!=", lambda a, b, _: a != b),
        ("<", lambda a, b, _: a < b),
        ("<=", lambda a, b, _: a <= b),
        (">", lambda a, b, _: a > b),
        (">=", lambda a, b, _: a >= b),
        ("&", lambda a, b, _: bool(a & b)),
        ("s<", lambda a, b, signed: signed(a) < signed(b)),
        ("s<=", lambda a, b, signed: signed(a) <= signed(b)),
        ("s>", lambda a, b, signed: signed(a) > signed(b)),
        ("s>=", lambda a, b, signed: signed(a) >= signed(b)),
    ],
)
def test_comparisons(operator: str, truth, by_register: bool, wide: bool) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    pairs = [(a, b) for a in (0, 5, -1, 1 << 31, BIG) for b in (5, -1, 0)]
    bits = 64 if wide else 32
    mask = (1 << bits) - 1

    def signed(number: int) -> int:
        return number - (1 << bits) if number >> (bits - 1) else number

    for a, b in pairs:
        left = R2 if wide else W2
        right = (R3 if wide else W3) if by_register else b
        part: list[Source] = [
            asm.jump_if(left, operator, right, "yes"),
            asm.mov(R2, 0),
            asm.jump("no"),
            "yes:",
            asm.mov(R2, 1),
            "no:",
        ]
        assert compute(part, a, b) == truth(a & mask, b & mask, signed), (a, b)


@pytest.mark.parametrize("size", [4, 8])
@pytest.mark.parametrize(
    ("part", "memory", "operand", "left", "result"),
    [
        (lambda s, r: asm.atomic_add(s, R6, 0, r), 40, 2, 42, 2),
        (lambda s, r: asm.atomic_or(s, R6, 0, r), 0xF0, 0x3C, 0xFC, 0x3C),
        (lambda s, r: asm.atomic_and(s, R6, 0, r), 0xF0, 0x3C, 0x30, 0x3C),
        (lambda s, r: asm.atomic_xor(s, R6, 0, r), 0xF0, 0x3C, 0xCC, 0x3C),
        (lambda s, r: asm.atomic_add(s, R6, 0, r, fetch=True), 40, 2, 42, 40),
        (lambda s, r: asm.atomic_or(s, R6, 0, r, fetch=True), 0xF0, 0x3C, 0xFC, 0xF0),
        (lambda s, r: asm.atomic_and(s, R6, 0, r, fetch=True), 0xF0, 0x3C, 0x30, 0xF0),
        (lambda s, r: asm.atomic_xor(s, R6, 0, r, fetch=True), 0xF0, 0x3C, 0xCC, 0xF0),
        (lambda s, r: asm.atomic_xchg(s, R6, 0, r), 40, 2, 2, 40),
    ],
)
def test_atomics(part, memory: int, operand: int, left: int, result: int, size: int) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """On an array map's value, whose upper half must stay as it is where 4 bytes are meant."""
    above = 0xABCD << 32 if size == 4 else 0
    assert on_value(
        [asm.mov(R2, operand), part(size, R2 if size == 8 else W2)], above | memory
    ) == (above | left, result)


@pytest.mark.parametrize("size", [4, 8])
@pytest.mark.parametrize(("expected", "left"), [(40, 2), (41, 40)])
def test_compare_and_exchange(expected: int, left: int, size: int) -> None:
    part = [
        asm.mov(R0, expected),
        asm.mov(R2, 2),
        asm.atomic_cmpxchg(size, R6, 0, R2 if size == 8 else W2),
        asm.mov(R2, R0),
    ]
    assert on_value(part, 40) == (left, 40)


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_acquire_and_release(size: int) -> None:
    need("load_acquire")
    mask = (1 << 8 * size) - 1
    part = [
        asm.load_acquire(size, R2, R6),
        asm.mov(R3, -2),
        asm.store_release(size, R6, 0, R3),
    ]
    assert on_value(part, BIG) == ((BIG & ~mask) | (-2 & mask), BIG & mask)


def on_value(part: Sequence[Source], memory: int) -> tuple[int, int]:
    """Run *part* with r6 = address of a map's value that is *memory*; return (the value, r2)."""
    array = MapSpec(name="cell", type=MapType.ARRAY, key_size=4, value_size=16, max_entries=1)
    with array.create() as cell:
        cell[0] = struct.pack("=2Q", memory, 0)
        spec = skep.ProgramSpec(
            name="atomic",
            type="syscall",
            instructions=[
                asm.load_map_value(R6, cell),
                part,
                asm.store(8, R6, 8, R2),
                asm.mov(R0, 0),
                asm.exit_(),
            ],
        )
        with spec.load() as program:
            program.test_run()
        value, result = struct.unpack("=2Q", cell[0])
        return value, result


# -- whole programs -----------------------------------------------------------------------

UDP = 17


def udp_filter(port: int) -> list[Source]:
    """Drop UDP over IPv4 to *port*, pass everything else."""
    passed = Label("pass")
    return [
        "; the packet: r2 is where it starts, r3 where it ends",
        asm.load(4, R2, R1, 0),
        asm.load(4, R3, R1, 4),
        "; Ethernet, IPv4 without options and UDP: 42 bytes",
        asm.mov(R4, R2),
        asm.add(R4, 42),
        asm.jump_if(R4, ">", R3, passed),
        "; IPv4?",
        asm.load(2, R5, R2, 12),
        asm.to_be(R5, 16),
        asm.jump_if(R5, "!=", 0x0800, passed),
        "; UDP?",
        asm.load(1, R5, R2, 23),
        asm.jump_if(R5, "!=", UDP, passed),
        "; to the port?",
        asm.load(2, R5, R2, 36),
        asm.to_be(R5, 16),
        asm.jump_if(R5, "!=", port, passed),
        asm.mov(R0, 1),
        asm.exit_(),
        passed,
        asm.mov(R0, 2),
        asm.exit_(),
    ]


def packet(protocol: int, port: int) -> bytes:
    ethernet = bytes(12) + b"\x08\x00"
    ip = struct.pack(">BBHHHBBHII", 0x45, 0, 60, 0, 0, 64, protocol, 0, 0x7F000001, 0x7F000001)
    return ethernet + ip + struct.pack(">HHHH", 1234, port, 20, 0) + bytes(12)


def test_a_packet_filter() -> None:
    spec = skep.ProgramSpec(name="udp_filter", type="xdp", instructions=udp_filter(53))
    with spec.load() as program:
        assert program.info.name == "udp_filter"
        verdicts = [
            program.test_run(data).retval
            for data in (packet(UDP, 53), packet(UDP, 54), packet(6, 53), packet(UDP, 53)[:40])
        ]
    assert verdicts == [1, 2, 2, 2]


def counting(counts: str | skep.Map) -> list[Source]:
    """Count to the packet's length in a loop, and add that up in a map."""
    return [
        asm.load(4, R6, R1, 4),
        asm.load(4, R2, R1, 0),
        asm.sub(R6, R2),
        asm.mov(R7, 0),
        "next:",
        asm.jump_if(R7, ">=", R6, "counted"),
        asm.add(R7, 1),
        asm.jump_if(R7, "<", 500, "next"),
        "counted:",
        asm.store(4, R10, -4, 0),
        asm.load_map(R1, counts),
        asm.mov(R2, R10),
        asm.add(R2, -4),
        asm.call("map_lookup_elem"),
        asm.jump_if(R0, "==", 0, "out"),
        asm.atomic_add(8, R0, 0, R7),
        "out:",
        asm.mov(R0, R7),
        asm.exit_(),
    ]


def array(name: str = "counts") -> MapSpec:
    return MapSpec(name=name, type=MapType.ARRAY, key_size=4, value_size=8, max_entries=1)


def test_a_live_map() -> None:
    with array().create() as counts:
        spec = skep.ProgramSpec(name="count", type="xdp", instructions=counting(counts))
        with spec.load() as program:
            assert [program.test_run(bytes(size)).retval for size in (60, 100)] == [60, 100]
            assert program.maps == {}  # it is ours
        assert struct.unpack("=Q", counts[0]) == (160,)


def test_a_map_that_belongs_to_the_program() -> None:
    spec = skep.ProgramSpec(
        name="count", type="xdp", instructions=counting("counts"), maps={"counts": array()}
    )
    with spec.load() as program, spec.copy().load() as other:
        program.test_run(bytes(77))
        assert struct.unpack("=Q", program.maps["counts"][0]) == (77,)
        assert struct.unpack("=Q", other.maps["counts"][0]) == (0,)
        mine = program.maps["counts"]
    with pytest.raises(skep.errors.ClosedError):
        mine[0]


def test_a_map_by_its_descriptor() -> None:
    with array().create() as counts:
        instructions: list[Source] = [
            asm.load_map_value(R1, counts.fileno()),
            asm.store(8, R1, 0, 7),
            asm.load_map(R1, counts.fileno()),
            asm.mov(R0, 0),
            asm.exit_(),
        ]
        spec = skep.ProgramSpec(name="seven", type="syscall", instructions=instructions)
        with spec.load() as program:
            program.test_run()
        assert struct.unpack("=Q", counts[0]) == (7,)


def test_a_map_that_is_missing() -> None:
    spec = skep.ProgramSpec(name="count", type="xdp", instructions=counting("counts"))
    with pytest.raises(NotFoundError) as caught:
        spec.load()
    assert str(caught.value) == (
        "program 'count' refers to the map 'counts', which it is not given (pass"
        " maps={'counts': ...}, or load it in an ObjectSpec with that map)"
    )


def test_a_map_of_an_object() -> None:
    spec = skep.ObjectSpec("by_hand", byteorder="little", license="GPL")
    spec.maps["counts"] = array()
    spec.programs["count"] = skep.ProgramSpec(
        name="count", type="xdp", instructions=counting("counts")
    )
    with spec.load() as obj:
        obj.programs["count"].test_run(bytes(33))
        assert struct.unpack("=Q", obj.maps["counts"][0]) == (33,)


def test_functions_have_frames_of_their_own() -> None:
    """r6 to r9 survive a call, and so does what the caller keeps on its stack."""
    result = run(
        [
            asm.mov(R6, R1),
            asm.store(8, R10, -8, 1000),
            asm.load(8, R1, R6, 0),
            asm.call_local("square_plus_one"),
            asm.load(8, R2, R10, -8),
            asm.add(R0, R2),
            asm.store(8, R6, 0, R0),
            asm.mov(R0, 0),
            asm.exit_(),
            "square_plus_one:",
            asm.store(8, R10, -8, 1),
            asm.mov(R6, 77),
            asm.call_local("square"),
            asm.load(8, R1, R10, -8),
            asm.add(R0, R1),
            asm.exit_(),
            "square:",
            asm.mov(R0, R1),
            asm.mul(R0, R1),
            asm.exit_(),
        ],
        12,
    )
    assert result == (12 * 12 + 1 + 1000,)


def test_a_callback() -> None:
    result = run(
        [
            asm.mov(R6, R1),
            asm.store(8, R10, -8, 0),
            asm.mov(R1, 10),
            asm.load_function(R2, "add_index"),
            asm.mov(R3, R10),
            asm.add(R3, -8),
            asm.mov(R4, 0),
            asm.call("loop"),
            asm.load(8, R1, R10, -8),
            asm.store(8, R6, 0, R1),
            asm.mov(R0, 0),
            asm.exit_(),
            "add_index:",
            asm.load(8, R3, R2, 0),
            asm.add(R3, R1),
            asm.store(8, R2, 0, R3),
            asm.mov(R0, 0),
            asm.exit_(),
        ],
        0,
    )
    assert result == (sum(range(10)),)


def test_may_goto_ends_a_loop_without_a_bound() -> None:
    need("may_goto")
    (rounds,) = run(
        [
            asm.mov(R6, R1),
            asm.mov(R7, 0),
            "again:",
            asm.may_goto("enough"),
            asm.add(R7, 1),
            asm.jump("again"),
            "enough:",
            asm.store(8, R6, 0, R7),
            asm.mov(R0, 0),
            asm.exit_(),
        ],
        0,
    )
    assert rounds >= 1 << 20


def test_old_packet_loads() -> None:
    instructions: list[Source] = [
        asm.mov(R6, R1),
        asm.ld_abs(2, 12),
        asm.mov(R7, R0),
        asm.mov(R1, 4),
        asm.ld_ind(1, R1, 19),
        asm.lsh(R7, 8),
        asm.or_(R0, R7),
        asm.exit_(),
    ]
    spec = skep.ProgramSpec(name="old", type="sched_cls", instructions=instructions)
    with spec.load() as program:
        assert program.test_run(packet(UDP, 53)).retval == 0x0800 << 8 | UDP


def test_a_kernel_function() -> None:
    need_function("bpf_rcu_read_lock", (6, 2))
    instructions: list[Source] = [
        asm.call_kernel("bpf_rcu_read_lock"),
        asm.call_kernel("bpf_rcu_read_unlock"),
        asm.mov(R0, 0),
        asm.exit_(),
    ]
    spec = skep.ProgramSpec(name="locks", type="syscall", instructions=instructions, license="GPL")
    with spec.load() as program:
        assert program.test_run().retval == 0
    spec = skep.ProgramSpec(
        name="locks",
        type="syscall",
        instructions=[asm.call_kernel("bpf_no_such_thing"), asm.mov(R0, 0), asm.exit_()],
    )
    with pytest.raises(NotFoundError, match="calls the kernel function 'bpf_no_such_thing'"):
        spec.load()


def test_typed_programs_find_their_target() -> None:
    spec = skep.ProgramSpec(
        name="on_switch",
        type="tracing",
        expected_attach_type="trace_raw_tp",
        attach_to="sched_switch",
        instructions=[asm.mov(R0, 0), asm.exit_()],
        license="GPL",
    )
    with spec.load() as program:
        assert program.type == ProgramType.TRACING
        assert program.info.attach_btf_id != 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"type": "xpd"}, "program 'p': there is no program type 'xpd' (did you mean xdp?)"),
        (
            {"type": "xdp", "expected_attach_type": "xdp_devmop"},
            "program 'p': there is no attach type 'xdp_devmop' (did you mean xdp_devmap?)",
        ),
    ],
)
def test_types_that_do_not_exist(arguments: dict[str, str], words: str) -> None:
    with pytest.raises(RangeError) as caught:
        skep.ProgramSpec(name="p", instructions=[asm.exit_()], **arguments)  # type: ignore[arg-type]
    assert str(caught.value).startswith(words)


def test_either_code_or_instructions() -> None:
    with pytest.raises(RangeError, match="'p' has no instructions"):
        skep.ProgramSpec(name="p", type="xdp")
    with pytest.raises(RangeError, match="either code or instructions"):
        skep.ProgramSpec(name="p", type="xdp", code=[asm.exit_()], instructions=[asm.exit_()])


def test_the_verifier_quotes_the_program() -> None:
    """Comments and lines of Python appear where a C program's lines would."""
    spec = skep.ProgramSpec(
        name="unsafe",
        type="xdp",
        instructions=[
            asm.load(4, R2, R1, 0),
            "; the first byte, without looking where the packet ends",
            asm.load(1, R0, R2, 0),
            asm.exit_(),
        ],
    )
    with pytest.raises(VerifierError) as caught:
        spec.load()
    error = caught.value
    assert error.cause.startswith("R2 offset is outside of the packet")
    assert (error.file, error.instruction) == ("test_live_assembled.py", 1)
    assert error.line == "the first byte, without looking where the packet ends"
    with open(__file__) as lines:
        assert "asm.load(1, R0, R2, 0)" in lines.read().splitlines()[error.line_number - 1]
    assert "; asm.load(4, R2, R1, 0)" in error.log


def test_too_many_branches_are_the_verifiers_verdict() -> None:
    """The kernel returns EFAULT for it, and the log says why."""
    branch: list[Source] = [asm.call("ktime_get_ns"), asm.jump_if(R0, "==", 5, 0)]
    instructions: list[Source] = [*branch * 8200, asm.mov(R0, 0), asm.exit_()]
    spec = skep.ProgramSpec(name="branches", type="xdp", instructions=instructions)
    with pytest.raises(VerifierError, match="The sequence of 8193 jumps is too complex"):
        spec.load()


def test_attached_to_a_tracepoint() -> None:
    with array("calls").create() as calls:
        spec = skep.ProgramSpec(
            name="on_getpgid",
            section="tp/syscalls/sys_enter_getpgid",
            license="GPL",
            instructions=[
                asm.call("get_current_pid_tgid"),
                asm.rsh(R0, 32),
                asm.jump_if(R0, "!=", os.getpid(), "out"),
                asm.load_map_value(R1, calls),
                asm.mov(R2, 1),
                asm.atomic_add(8, R1, 0, R2),
                "out:",
                asm.mov(R0, 0),
                asm.exit_(),
            ],
        )
        with (
            spec.load() as program,
            skep.links.tracepoint(program, "syscalls", "sys_enter_getpgid"),
        ):
            for _ in range(5):
                os.getpgid(0)
        assert struct.unpack("=Q", calls[0]) == (5,)


def test_wide_and_narrow_registers_are_kept_apart() -> None:
    assert compute([asm.mov(W0, -1), asm.mov(R2, R0), asm.mov(W1, W0)], 0) == U32
