"""Our bytes and our notation are LLVM's."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from llvm_table import TABLE
from needs import need_program

from skep import asm
from skep.asm.code import Code
from skep.elf.reader import ElfFile
from skep.object.functions import executable_sections

ROOT = Path(__file__).resolve().parents[3]
OBJECTS = sorted((ROOT / "src/skep/tools").glob("*/*.bpf.o"))
CLANG, OBJDUMP = "clang-19", "llvm-objdump-19"


def llvm(text: str) -> str:
    """Bring LLVM's notation and ours into one: numbers in decimal, no names."""
    text = re.sub(r" <[^<>]*>$", "", text)
    text = re.sub(r"\bcall bpf_\w+#", "call ", text)
    text = re.sub(r"\bcall \+", "call ", text)
    text = re.sub(r"0x[0-9a-f]+|\b\d+\b", lambda hit: str(int(hit[0], 0)), text)
    text = re.sub(r"-(\d+) ll", lambda hit: f"{(1 << 64) - int(hit[1])} ll", text)
    # In what loads and stores, LLVM calls a register w when it moves 32 bits or fewer.
    text = re.sub(r"^w(\d+ = \*)", r"r\1", text)
    return re.sub(r"^((?:lock )?\*\(u.* \S?= )w", r"\1r", text)


def objdump(path: Path) -> dict[str, dict[int, str]]:
    """Return what LLVM makes of each section's instructions, by index."""
    command = [OBJDUMP, "-d", "--no-show-raw-insn", "--mcpu=v4", str(path)]
    found: dict[str, dict[int, str]] = {}
    rows: dict[int, str] = {}
    for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.split(
        "\n"
    ):
        if line.startswith("Disassembly of section "):
            rows = found[line.removeprefix("Disassembly of section ").rstrip(":")] = {}
        elif hit := re.fullmatch(r" *(\d+):\s+(.*)", line):
            rows[int(hit[1])] = hit[2].strip()
    return found


@pytest.fixture(scope="session")
def assembled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table's right side, assembled by LLVM."""
    need_program(CLANG, OBJDUMP)
    source = tmp_path_factory.mktemp("llvm") / "table.s"
    source.write_text("".join(f"{text}\n" for _, text in TABLE))
    made = source.with_suffix(".o")
    command = [CLANG, "-target", "bpfel", "-mcpu=v4", "-c", str(source), "-o", str(made)]
    subprocess.run(command, check=True)
    return made


def test_builders_make_what_llvm_assembles(assembled: Path) -> None:
    elf = ElfFile(assembled.read_bytes(), "table.o")
    (section,) = executable_sections(elf)
    expected = bytes(elf.data(section))
    offset = 0
    for made, text in TABLE:
        ours = asm.encode(made if isinstance(made, list) else [made])
        assert ours.hex() == expected[offset : offset + len(ours)].hex(), text
        offset += len(ours)
    assert offset == len(expected)


def test_the_notation_is_llvms(assembled: Path) -> None:
    (theirs,) = objdump(assembled).values()
    index = 0
    for made, _ in TABLE:
        first, second = made if isinstance(made, list) else (made, None)
        assert llvm(asm.text(first, second)) == llvm(theirs[index])
        index += 1 if second is None else 2


@pytest.mark.parametrize("path", OBJECTS, ids=lambda path: path.name)
def test_listings_of_objects_agree(path: Path) -> None:
    need_program(OBJDUMP)
    theirs = objdump(path)
    elf = ElfFile(path.read_bytes(), path.name)
    compared = 0
    for section in executable_sections(elf):
        if section.name not in theirs:
            continue
        rows = asm.disassemble(Code(bytes(elf.data(section))), labels=False)
        ours = {int(number): text for number, _, text in (row.partition(": ") for row in rows)}
        assert {at: llvm(text) for at, text in ours.items()} == {
            at: llvm(text) for at, text in theirs[section.name].items()
        }
        compared += len(ours)
    assert compared > 20


def test_the_table_has_every_builder() -> None:
    """What takes a symbol has no notation of LLVM's; newer instructions have none in LLVM 19."""
    left_out = {"call_local", "call_kernel", "load_acquire", "store_release"}
    left_out |= {
        name for name in asm.__all__ if name.startswith(("load_map", "load_btf", "load_f"))
    }
    source = (ROOT / "tests/llvm_table.py").read_text()
    builders = {
        name
        for name in asm.__all__
        if callable(getattr(asm, name))
        and getattr(asm, name).__module__ in {"skep.asm.builders", "skep.asm.memory"}
    }
    assert {name for name in builders - left_out if f"asm.{name}(" not in source} == set()
