"""The instruction length decoder against objdump, and the choice of a probe's place."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skep.elf.binary import Binary, resolve_binary
from skep.elf.entry import entry_offset
from skep.elf.reader import EM_X86_64
from skep.elf.x86 import LONGEST, decode

# What compilers do not emit, or objdump splits in a way of its own (fwait is an instruction).
ODD = re.compile(
    r"\(bad\)|^(rex|data16|addr32|fstcw|fstsw|fstenv|fsave|finit|fclex|cs |ds |es |ss )"
)


def python_code() -> str:
    """Return the file that holds the interpreter's code."""
    library = sysconfig.get_config_var("INSTSONAME") or ""
    path = Path(sysconfig.get_config_var("LIBDIR") or "/nowhere") / library
    return str(path) if ".so" in library and path.exists() else str(Path(sys.executable).resolve())


@pytest.mark.skipif(shutil.which("objdump") is None, reason="needs objdump (package binutils)")
@pytest.mark.parametrize("name", ["c", "m", "python"])
def test_lengths_and_targets_match_objdump(name: str) -> None:
    path = python_code() if name == "python" else resolve_binary(name)
    command = ["objdump", "-d", "-w", "-j", ".text", "--no-show-raw-insn", path]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [
        (int(address, 16), text)
        for address, text in re.findall(r"^ *([0-9a-f]+):\t(.*)$", listing, re.MULTILINE)
    ]
    with Binary(path) as binary:
        if binary.machine != EM_X86_64:
            pytest.skip("this machine is not x86-64")
        section = binary.elf.section(".text")
        assert section is not None
        code = bytes(binary.elf.data(section))
    compared = branches = 0
    start = rows[0][0]
    # A sample spread over the file: every instruction takes a second or two per file.
    for (address, text), (following, _) in list(pairwise(rows))[::3]:
        if ODD.search(text):
            continue
        instruction = decode(code, address - start)
        assert instruction is not None, text
        assert instruction.length == following - address, text
        compared += 1
        branch = re.match(r"(?:bnd |notrack )?(?:j\w+|call|loop\w*|xbegin)\s+([0-9a-f]+)\b", text)
        if branch:
            branches += 1
            assert instruction.target is not None, text
            assert instruction.target + start == int(branch[1], 16), text
        else:
            assert instruction.target is None or text.startswith(("j", "call", "bnd")), text
    assert compared > 10_000
    assert branches > 1000


@pytest.mark.parametrize(
    ("code", "length"),
    [
        ("90", 1),
        ("f30f1efa", 4),  # endbr64
        ("48b88877665544332211", 10),  # movabs $...,%rax
        ("66b83412", 4),  # mov $0x1234,%ax
        ("a08877665544332211", 9),  # movabs 0x1122334455667788,%al
        ("c8100000", 4),  # enter
        ("f60501000000ff", 7),  # testb $0xff,1(%rip)
        ("f6d0", 2),  # not %al
        ("f7c178563412", 6),  # test $...,%ecx
        ("66f7c13412", 5),
        ("64488b042528000000", 9),  # mov %fs:0x28,%rax
        ("c5f877", 3),  # vzeroupper
        ("c4e37d19c101", 6),  # vextractf128 $1
        ("62f17c48280501000000", 10),  # vmovaps 1(%rip),%zmm0
        ("660f3a0fc108", 6),  # palignr $8
        ("ff2425e8030000", 7),  # jmp *0x3e8
        ("66480f7ec0", 5),  # movq %xmm0,%rax
    ],
)
def test_lengths(code: str, length: int) -> None:
    data = bytes.fromhex(code)
    instruction = decode(data + b"\xcc" * 20)
    assert instruction is not None
    assert instruction.length == length
    assert decode(data[:-1]) is None


@pytest.mark.parametrize(
    "code", ["06", "60", "9a", "ea", "d6", "0f0fc0b4", "8fe878", "66e90000", "d51000", "0f04", ""]
)
def test_what_it_is_not_sure_of_it_refuses(code: str) -> None:
    assert decode(bytes.fromhex(code) + (bytes(16) if code else b"")) is None


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=40), st.integers(0, 45))
def test_any_bytes(code: bytes, start: int) -> None:
    instruction = decode(code, start)
    if instruction is not None:
        assert 1 <= instruction.length <= LONGEST
        assert start + instruction.length <= len(code)
    assert 0 <= entry_offset(code) <= len(code)


ENDBR64, PUSH_RBP, PUSH_R12, RET = "f30f1efa", "55", "4154", "c3"


@pytest.mark.parametrize(
    ("code", "place"),
    [
        (PUSH_RBP + RET, 0),
        (ENDBR64 + PUSH_RBP + RET, 4),
        (ENDBR64 + PUSH_R12 + RET, 4),
        (ENDBR64 + "90" + RET, 4),
        (ENDBR64 + "0f1f440000" + RET, 4),
        (ENDBR64 + "31c0" + PUSH_RBP + RET, 6),  # xor %eax,%eax
        (ENDBR64 + "4885ff" + PUSH_RBP + RET, 7),  # test %rdi,%rdi
        (ENDBR64 + "64488b042528000000" + PUSH_RBP + RET, 13),  # the canary
        (ENDBR64 + "488b0511110000" + PUSH_RBP + RET, 11),  # mov 0x1111(%rip),%rax
        ("4989fa" + PUSH_RBP + RET, 3),  # mov %rdi,%r10
        # The stack pointer moves, an argument is written, memory is written or may fault.
        (ENDBR64 + "4883ec08" + PUSH_RBP + RET, 0),
        (ENDBR64 + "31ff" + PUSH_RBP + RET, 0),  # xor %edi,%edi
        (ENDBR64 + "4889f7" + PUSH_RBP + RET, 0),  # mov %rsi,%rdi
        (ENDBR64 + "488b07" + PUSH_RBP + RET, 0),  # mov (%rdi),%rax
        (ENDBR64 + "488907" + PUSH_RBP + RET, 0),  # mov %rax,(%rdi)
        (ENDBR64 + "488d7f08" + PUSH_RBP + RET, 0),  # lea 8(%rdi),%rdi
        (ENDBR64 + "bf01000000" + PUSH_RBP + RET, 0),  # mov $1,%edi
        (ENDBR64 + "41b801000000" + PUSH_RBP + RET, 0),  # mov $1,%r8d
        (ENDBR64 + "f0" + "48ff00" + PUSH_RBP + RET, 0),  # lock incq (%rax)
        (ENDBR64 + "660fefc0" + PUSH_RBP + RET, 0),  # pxor %xmm0,%xmm0
        (ENDBR64 + "eb00" + RET, 4),
        (ENDBR64 + "7400" + RET, 0),
        (ENDBR64 + RET, 0),
        # A branch back to the place, or between it and the entry; and one to the entry itself.
        (ENDBR64 + PUSH_RBP + "ebfd" + RET, 0),
        (ENDBR64 + "31c0" + PUSH_RBP + "ebfb" + RET, 0),
        (ENDBR64 + PUSH_RBP + "ebf9" + RET, 4),
        (ENDBR64 + PUSH_RBP + "0f84f9ffffff" + RET, 0),
        # The rest of the function does not decode, or is cut off.
        (ENDBR64 + PUSH_RBP + "06" + RET, 0),
        (ENDBR64 + PUSH_RBP + "48b81122", 0),
        ("", 0),
    ],
)
def test_entry_offset(code: str, place: int) -> None:
    assert entry_offset(bytes.fromhex(code)) == place


def test_entry_of_compiled_functions(library: Path) -> None:
    with Binary(library) as binary:
        for name in ("counted", "uses", "weak_one"):
            code = binary.code(binary.symbol_offset(name))
            assert code[entry_offset(code)] == 0x55, name
