"""Objects made to cost as much as possible: never more than 256 MiB, nor more than seconds.

Each input of at most 1 MB attacks one thing that is cheap to write down and dear to believe: parts
of the file that are shown many times, names that are tails of one another, tables that are
looked through once for each row of another one, code that is copied into each of many programs.
"""

from __future__ import annotations

from struct import pack
from typing import TYPE_CHECKING

import pytest
from fuzz.elf_writer import ElfWriter
from fuzz.targets import visit_spec
from measured import bounded

from skep.btf.writer import Builder
from skep.elf.reader import SHT_NOBITS, SHT_REL, STT_NOTYPE, STT_OBJECT
from skep.elf.strip import strip_debug
from skep.errors import SkepError
from skep.object.relocations import explain
from skep.object.spec import ObjectSpec

if TYPE_CHECKING:
    from collections.abc import Callable

MB = 1 << 20
ALLOC = 2
EXIT = pack("<BBhi", 0x95, 0, 0, 0)
NOP = pack("<BBhi", 0xB7, 0, 0, 0)


def parsed(data: bytes) -> str:
    """Parse an object, and nothing else."""
    return repr(ObjectSpec.from_bytes(data, "hostile.bpf.o"))


def looked_at(data: bytes) -> str:
    """Parse, copy, describe, list, check and strip an object."""
    said = []
    try:
        spec = ObjectSpec.from_bytes(data, "hostile.bpf.o")
        said.append(repr(spec))
        for name in list(spec.programs)[8:]:
            del spec.programs[name]
        visit_spec(spec)
    except SkepError as error:
        said.append(error.message)
    try:
        said.append(f"{len(strip_debug(data))} bytes are left")
    except SkepError as error:
        said.append(error.message)
    return "; ".join(said)


def explained(data: bytes) -> str:
    """Ask the object's own types for its CO-RE relocations."""
    spec = ObjectSpec.from_bytes(data, "hostile.bpf.o")
    rows = explain(spec, spec.btf)
    return f"{len(rows)} rows, the last: {rows[-1].reason if rows else None}"


def call(index: int, target: int) -> bytes:
    """Encode a call from instruction *index* to instruction *target* of the same section."""
    return pack("<BBhi", 0x85, 0x10, 0, target - index - 1)


def info(section: int, functions: bytes = b"", lines: bytes = b"", core: bytes = b"") -> bytes:
    """Make a .BTF.ext with records of one section, whose name is at *section*."""
    body, places = b"", []
    for size, rows in ((8, functions), (16, lines), (16, core)):
        part = pack("<3I", size, section, len(rows) // size) + rows if rows else b""
        places += [len(body), len(part)]
        body += part
    return pack("<HBBI6I", 0xEB9F, 1, 0, 32, *places) + body


# -- sections and symbols -------------------------------------------------------------------


def many_sections() -> bytes:
    file = ElfWriter()
    name = file.name("socket")
    for _ in range(16_000):
        file.section(name, flags=ALLOC, offset=0, size=0)
    return file.build()


def more_sections_than_there_are() -> bytes:
    data = bytearray(ElfWriter().build())
    data[60:62] = pack("<H", 0xFEFF)
    return bytes(data)


def sections_beyond_counting() -> bytes:
    """A section count of 2**60 in the first header."""
    data = bytearray(ElfWriter().build())
    at = int.from_bytes(data[40:48], "little")
    data[60:62] = b"\0\0"
    data[at + 32 : at + 40] = pack("<Q", 1 << 60)
    return bytes(data)


def code_shown_again_and_again() -> bytes:
    file = ElfWriter()
    at = file.put(EXIT * 60_000)
    name = file.name("socket")
    for number in range(4000):
        section = file.code(name, offset=at, size=8 * 60_000)
        file.symbol(f"f{number}", section)
    return file.build()


def data_shown_again_and_again() -> bytes:
    file = ElfWriter()
    at = file.put(bytes(500_000))
    name = file.name(".data.x")
    for _ in range(7000):
        file.section(name, flags=ALLOC, offset=at, size=500_000)
    return file.build()


def relocations_shown_again_and_again() -> bytes:
    file = ElfWriter()
    code = file.code("socket", EXIT)
    file.symbol("f", code)
    at = file.put(pack("<QQ", 0, 1 << 32 | 1) * 30_000)
    name = file.name(".rel")
    for _ in range(7000):
        file.section(name, type=SHT_REL, offset=at, size=16 * 30_000, info=code)
    return file.build()


def sections_with_relocations() -> bytes:
    file = ElfWriter()
    name = file.name("socket")
    for number in range(5000):
        code = file.code(name, EXIT)
        file.symbol(f"f{number}", code)
        file.relocations(code, [(0, 1, 1)])
    return file.build()


def boundless_bss() -> bytes:
    file = ElfWriter()
    file.section(".bss", type=SHT_NOBITS, flags=ALLOC, size=1 << 60)
    return file.build()


def much_bss() -> bytes:
    file = ElfWriter()
    for number in range(3000):
        file.section(f".bss.{number}", type=SHT_NOBITS, flags=ALLOC, size=1 << 20)
    return file.build()


def just_enough_bss() -> bytes:
    file = ElfWriter()
    for number in range(64):
        file.section(f".bss.{number}", type=SHT_NOBITS, flags=ALLOC, size=1 << 20)
    return file.build()


def long_section_names() -> bytes:
    file = ElfWriter()
    start = file.name(b"n" * 500_000)
    for number in range(7000):
        file.section(start + number, offset=0, size=0)
    return file.build()


def long_symbol_names() -> bytes:
    file = ElfWriter()
    code = file.code("socket", EXIT)
    start = len(file.strings)
    file.strings += b"n" * 500_000 + b"\0"
    for number in range(20_000):
        file.symbol(start + number, code)
    return file.build()


def symbol_names_of_the_longest() -> bytes:
    file = ElfWriter()
    code = file.code("socket", EXIT)
    start = len(file.strings)
    file.strings += b"\xf0\x9f\x90\x9d" * 256 + b"\0"
    for _ in range(40_000):
        file.symbol(start, code)
    return file.build()


def names_without_end() -> bytes:
    file = ElfWriter()
    code = file.code("socket", EXIT)
    file.symbol("f", code)
    file.strings[-1:] = b"n" * 500_000
    return file.build()


def functions_at_one_place() -> bytes:
    file = ElfWriter()
    code = file.code("socket", EXIT * 4)
    for number in range(30_000):
        file.symbol(f"f{number}", code, 8 * (number % 4), size=(number % 7) * 8)
    return file.build()


def functions_that_do_not_fit() -> bytes:
    file = ElfWriter()
    name = file.name("s" * 1000)
    code = file.code(name, EXIT)
    for number in range(30_000):
        file.symbol(f"f{number}", code, 8, size=(1 << 64) - 8)
    return file.build()


def many_programs() -> bytes:
    file = ElfWriter()
    count = 20_000
    code = file.code("socket", EXIT * count)
    for number in range(count):
        file.symbol(f"f{number}", code, 8 * number, 8)
    return file.build()


def programs_in_a_section_of_slashes() -> bytes:
    file = ElfWriter()
    count = 15_000
    code = file.code("kprobe" + "/" * 1000, EXIT * count)
    for number in range(count):
        file.symbol(f"f{number}", code, 8 * number, 8)
    return file.build()


# -- linking --------------------------------------------------------------------------------


def programs_that_call_a_large_function() -> bytes:
    file = ElfWriter()
    count, large = 8000, 60_000
    text = file.code(".text", NOP * (large - 1) + EXIT)
    sub = file.symbol("sub", text, 0, 8 * large)
    code = file.code("socket", (pack("<BBhi", 0x85, 0x10, 0, -1) + EXIT) * count)
    for number in range(count):
        file.symbol(f"f{number}", code, 16 * number, 16)
    file.relocations(code, [(16 * number, 10, sub) for number in range(count)])
    return file.build()


def programs_that_call_many_functions() -> bytes:
    """Each of many programs calls a chain of 500 functions."""
    file = ElfWriter()
    count, depth = 8000, 500
    body = b"".join(call(2 * n, 2 * n + 2) + EXIT for n in range(depth)) + EXIT
    text = file.code(".text", body)
    for number in range(depth):
        file.symbol(f"c{number}", text, 16 * number, 16)
    file.symbol("end", text, 16 * depth, 8)
    code = file.code("socket", (pack("<BBhi", 0x85, 0x10, 0, -1) + EXIT) * count)
    for number in range(count):
        file.symbol(f"f{number}", code, 16 * number, 16)
    file.relocations(code, [(16 * number, 10, 1) for number in range(count)])
    return file.build()


def functions_that_call_the_next_twice() -> bytes:
    file = ElfWriter()
    depth = 300
    body = b"".join(
        call(3 * n, 3 * n + 3) + call(3 * n + 1, 3 * n + 3) + EXIT for n in range(depth)
    )
    code = file.code("socket", body + EXIT)
    for number in range(depth):
        file.symbol(f"f{number}", code, 24 * number, 24)
    file.symbol("end", code, 24 * depth, 8)
    return file.build()


def functions_that_call_all_others() -> bytes:
    file = ElfWriter()
    count = 350
    body = b"".join(
        b"".join(call(at * (count + 1) + n, n * (count + 1)) for n in range(count)) + EXIT
        for at in range(count)
    )
    code = file.code("socket", body)
    for number in range(count):
        file.symbol(f"f{number}", code, 8 * (count + 1) * number, 8 * (count + 1))
    return file.build()


def one_function_of_calls() -> bytes:
    """A function of nothing but calls to itself, called by many programs."""
    file = ElfWriter()
    count, calls = 5000, 60_000
    text = file.code(".text", b"".join(call(n, 0) for n in range(calls)) + EXIT)
    sub = file.symbol("sub", text, 0, 8 * (calls + 1))
    code = file.code("socket", (pack("<BBhi", 0x85, 0x10, 0, -1) + EXIT) * count)
    for number in range(count):
        file.symbol(f"f{number}", code, 16 * number, 16)
    file.relocations(code, [(16 * number, 10, sub) for number in range(count)])
    return file.build()


def programs_that_share_many_lines() -> bytes:
    """One small function has all the lines there are, and many programs call it."""
    file = ElfWriter()
    builder = Builder()
    builder.int("int", 4)
    name = builder.string(".text")
    file.section(".BTF", builder.build())
    lines = b"".join(pack("<4I", 8 * (n % 1000), name, name, n << 10) for n in range(25_000))
    file.section(".BTF.ext", info(name, lines=lines))
    text = file.code(".text", NOP * 999 + EXIT)
    sub = file.symbol("sub", text, 0, 8000)
    count = 7000
    code = file.code("socket", (pack("<BBhi", 0x85, 0x10, 0, -1) + EXIT) * count)
    for number in range(count):
        file.symbol(f"f{number}", code, 16 * number, 16)
    file.relocations(code, [(16 * number, 10, sub) for number in range(count)])
    return file.build()


def sections_of_one_name_with_lines() -> bytes:
    file = ElfWriter()
    builder = Builder()
    builder.int("int", 4)
    name = builder.string("socket")
    file.section(".BTF", builder.build())
    file.section(".BTF.ext", info(name, lines=pack("<4I", 0, name, name, 1) * 25_000))
    socket = file.name("socket")
    for number in range(4500):
        file.symbol(f"f{number}", file.code(socket, EXIT))
    return file.build()


def exception_callbacks() -> bytes:
    file = ElfWriter()
    builder = Builder()
    proto = builder.func_proto(builder.int("int", 4), [])
    name = builder.string("socket")
    count = 6000
    rows = []
    for number in range(count):
        function = builder.func(f"f{number}", proto)
        builder.decl_tag("exception_callback:nowhere", function)
        rows.append(pack("<2I", 8 * number, function))
    file.section(".BTF", builder.build())
    file.section(".BTF.ext", info(name, functions=b"".join(rows)))
    code = file.code("socket", EXIT * count)
    for number in range(count):
        file.symbol(f"f{number}", code, 8 * number, 8)
    return file.build()


def instructions_that_are_none() -> bytes:
    file = ElfWriter()
    code = file.code("socket", b"\x85" * 1_000_000)
    file.symbol("f", code)
    return file.build()


def constants_cut_off() -> bytes:
    file = ElfWriter()
    code = file.code("socket", pack("<BBhi", 0x18, 0, 0, 0) * 120_001)
    file.symbol("f", code)
    return file.build()


def jumps_everywhere() -> bytes:
    file = ElfWriter()
    count = 100_000
    body = b"".join(pack("<BBhi", 0x15, 0, n * 7919 % 65536 - 32768, n) for n in range(count))
    file.symbol("f", file.code("socket", body + EXIT))
    return file.build()


# -- maps, variables and externs ------------------------------------------------------------


def maps(builder: Builder, variables: list[tuple[int, int, int]], size: int) -> ElfWriter:
    builder.datasec(".maps", size, variables)
    file = ElfWriter()
    file.section(".BTF", builder.build())
    return file


def one_map_declared_often() -> bytes:
    builder = Builder()
    number = builder.int("int", 4)
    pointer = builder.pointer(builder.array(number, 1, number))
    struct = builder.struct("", 8, [("type", pointer, 0)] * 20_000)
    variable = builder.var("m", struct)
    file = maps(builder, [(variable, 0, 8)] * 60_000, 8)
    file.section(".maps", bytes(8))
    return file.build()


def many_maps_of_one_type() -> bytes:
    builder = Builder()
    number = builder.int("int", 4)
    pointer = builder.pointer(builder.array(number, 1, number))
    struct = builder.struct("", 8, [("type", pointer, 0)] * 20_000)
    variables = [(builder.var(f"m{n}", struct), 8 * n, 8) for n in range(15_000)]
    file = maps(builder, variables, 8 * 15_000)
    file.section(".maps", bytes(8))
    return file.build()


def maps_with_values() -> bytes:
    builder = Builder()
    number = builder.int("int", 4)
    kind = builder.pointer(builder.array(number, 3, number))
    function = builder.pointer(builder.func_proto(number, []))
    values = builder.array(function, 0, number)
    struct = builder.struct("", 8, [("type", kind, 0), ("values", values, 0)])
    count = 9000
    variables = [(builder.var(f"m{n}", struct), 8 * n, 8) for n in range(count)]
    file = maps(builder, variables, 8 * count)
    data = file.section(".maps", bytes(8 * count))
    code = file.code("socket", EXIT)
    file.symbol("f", code)
    for number in range(5000):
        file.symbol(f"g{number}", code, 8 * number + 8)
    file.relocations(data, [(8 * (n % count), 2, n % 5000 + 1) for n in range(20_000)])
    return file.build()


def a_map_with_very_many_values() -> bytes:
    builder = Builder()
    number = builder.int("int", 4)
    kind = builder.pointer(builder.array(number, 3, number))
    values = builder.array(builder.pointer(builder.func_proto(number, [])), 0xFFFFFFFF, number)
    struct = builder.struct("", 0xFFFFFFFF, [("type", kind, 0), ("values", values, 0)])
    file = maps(builder, [(builder.var("m", struct), 0, 0xFFFFFFFF)], 0xFFFFFFFF)
    data = file.section(".maps", bytes(8))
    symbol = file.symbol("f", file.code("socket", EXIT))
    file.relocations(data, [(8 * n * 9000, 2, symbol) for n in range(50_000)])
    return file.build()


def tags_of_one_map() -> bytes:
    builder = Builder()
    number = builder.int("int", 4)
    kind = builder.pointer(builder.array(number, 1, number))
    variable = builder.var("m", builder.struct("", 8, [("type", kind, 0)]))
    for n in range(60_000):
        builder.decl_tag(f"t{n % 10}", variable)
    file = maps(builder, [(variable, 0, 8)], 8)
    file.section(".maps", bytes(8))
    return file.build()


def legacy_maps_that_overlap() -> bytes:
    file = ElfWriter()
    size = 300_000
    data = file.section("maps", pack("<5I", 1, 4, 4, 1, 0) + bytes(size))
    for number in range(20_000):
        file.symbol(f"m{number}", data, number, size - number, type=STT_OBJECT)
    return file.build()


def legacy_maps_in_one_another() -> bytes:
    file = ElfWriter()
    count = 8000
    kinds = (12, 1)  # arrays of maps, and the maps that are in all of them
    rows = [pack("<9I", kinds[n % 2], 4, 4, 1, 0, n % 2, 0, 1, n) for n in range(count)]
    data = file.section("maps", b"".join(rows))
    for number in range(count):
        file.symbol(f"m{number}", data, 36 * number, 36, type=STT_OBJECT)
    return file.build()


def structs_of_operations_that_overlap() -> bytes:
    builder = Builder()
    builder.int("int", 4)
    struct = builder.struct("ops", 200_000, [("x", 1, 0)])
    variables = [(builder.var(f"o{n}", struct), 0, 200_000) for n in range(20_000)]
    builder.datasec(".struct_ops", 200_000, variables)
    file = ElfWriter()
    file.section(".BTF", builder.build())
    data = file.section(".struct_ops", bytes(200_000), flags=ALLOC)
    symbol = file.symbol("f", file.code("struct_ops/x", EXIT))
    file.relocations(data, [(8 * n, 2, symbol) for n in range(1000)])
    return file.build()


def one_variable_declared_often() -> bytes:
    builder = Builder()
    number = builder.int("int", 4)
    variable = builder.var("v", number)
    builder.datasec(".bss", 8, [(variable, 0, 4)] * 60_000)
    file = ElfWriter()
    file.section(".BTF", builder.build())
    file.section(".bss", type=SHT_NOBITS, flags=ALLOC, size=8)
    return file.build()


def many_variables() -> bytes:
    builder = Builder()
    number = builder.int("int", 4)
    variables = [(builder.var(f"v{n}", number), 4 * n, 4) for n in range(25_000)]
    builder.datasec(".bss", 100_000, variables)
    file = ElfWriter()
    file.section(".BTF", builder.build())
    file.section(".bss", type=SHT_NOBITS, flags=ALLOC, size=100_000)
    return file.build()


def kernel_functions_of_one_prototype() -> bytes:
    builder = Builder()
    number = builder.int("int", 4)
    proto = builder.func_proto(number, [("", number)] * 20_000)
    ids = [builder.func(f"k{n}", proto, 2) for n in range(15_000)]
    builder.datasec(".ksyms", 0, [(id_, 0, 0) for id_ in ids])
    file = ElfWriter()
    file.section(".BTF", builder.build())
    return file.build()


def kernel_options_of_any_size() -> bytes:
    builder = Builder()
    array = builder.array(builder.int("int", 4), 0x3FFFFFFF, 1)
    ids = [builder.var(f"CONFIG_{n}", array, 2) for n in range(15_000)]
    builder.datasec(".kconfig", 0, [(id_, 0, 0) for id_ in ids])
    file = ElfWriter()
    file.section(".BTF", builder.build())
    return file.build()


def sections_of_externs() -> bytes:
    builder = Builder()
    variable = builder.var("x", builder.int("int", 4), 2)
    for _ in range(15_000):
        builder.datasec(".ksyms", 0, [(variable, 0, 0)])
    for _ in range(15_000):
        builder.datasec(".kconfig", 0, [(variable, 0, 0)])
    file = ElfWriter()
    file.section(".BTF", builder.build())
    for _ in range(5000):
        file.symbol("x", 0, type=STT_NOTYPE)
    return file.build()


# -- .BTF.ext and CO-RE ---------------------------------------------------------------------


def with_core(builder: Builder, core: bytes, *, count: int = 1) -> bytes:
    name = builder.string("socket")
    file = ElfWriter()
    file.section(".BTF", builder.build())
    file.section(".BTF.ext", info(name, core=core))
    file.symbol("f", file.code("socket", NOP * count + EXIT))
    return file.build()


def an_access_of_a_hundred_thousand() -> bytes:
    builder = Builder()
    number = builder.struct("s", 4, [])
    access = builder.string(":".join(["0"] * 100_000))
    return with_core(builder, pack("<4I", 0, number, access, 0))


def accesses_that_are_tails() -> bytes:
    builder = Builder()
    struct = builder.struct("s", 4, [])
    access = builder.string(":".join(["0"] * 511))
    rows = b"".join(pack("<4I", 0, struct, access + 2 * (n % 400), 0) for n in range(50_000))
    return with_core(builder, rows)


def many_relocations_of_one_field() -> bytes:
    builder = Builder()
    number = builder.int("int", 4)
    struct = builder.struct("s", 4, [("m" * 60, number, 0)])
    access = builder.string("0:0")
    return with_core(builder, pack("<4I", 0, struct, access, 0) * 30_000)


def relocations_through_long_names() -> bytes:
    """A path of sixty members with a name of fifty thousand characters each."""
    builder = Builder()
    last = builder.int("int", 4)
    for level in range(60):
        last = builder.struct(f"s{level}", 4, [("m" * 50_000, last, 0)])
    access = builder.string(":".join(["0"] * 61))
    lines = builder.string("int x = 1; " * 20_000)
    rows = pack("<4I", 0, last, access, 0) * 30_000
    name = builder.string("socket")
    file = ElfWriter()
    file.section(".BTF", builder.build())
    file.section(".BTF.ext", info(name, lines=pack("<4I", 0, lines, lines, 1), core=rows))
    file.symbol("f", file.code("socket", NOP + EXIT))
    return file.build()


def names_of_many_sections() -> bytes:
    builder = Builder()
    builder.int("int", 4)
    name = builder.string("n" * 300_000)
    body = pack("<I", 8) + b"".join(pack("<4I", name + number, 1, 0, 0) for number in range(30_000))
    head = pack("<HBBI6I", 0xEB9F, 1, 0, 32, 0, len(body), 0, 0, 0, 0)
    file = ElfWriter()
    file.section(".BTF", builder.build())
    file.section(".BTF.ext", head + body)
    return file.build()


def lines_and_nothing_else() -> bytes:
    builder = Builder()
    builder.int("int", 4)
    name = builder.string("socket")
    file = ElfWriter()
    file.section(".BTF", builder.build())
    file.section(".BTF.ext", info(name, lines=pack("<4I", 0, name, name, 1) * 64_000))
    file.symbol("f", file.code("socket", EXIT))
    return file.build()


def functions_and_nothing_else() -> bytes:
    builder = Builder()
    builder.int("int", 4)
    name = builder.string("socket")
    file = ElfWriter()
    file.section(".BTF", builder.build())
    file.section(".BTF.ext", info(name, functions=pack("<2I", 0, 1) * 128_000))
    file.symbol("f", file.code("socket", EXIT))
    return file.build()


def all_at_once() -> bytes:
    """As many variables, copies, names and types as are allowed, in one file."""
    file = ElfWriter()
    builder = Builder()
    number = builder.int("int", 4)
    name = builder.string(".text")
    longest = "\N{HONEYBEE}" + "v" * 400_000
    start = builder.string("n" + longest)
    for n in range(10):
        builder._offsets[f"tail {n}"] = start + 1  # names that end alike
        builder.datasec(f"tail {n}", 0, [])
    for n in range(8000):
        builder.func(f"{n}", number)
    file.section(".BTF", builder.build())
    lines = b"".join(pack("<4I", 8 * n, name, name, n << 10) for n in range(3000))
    file.section(".BTF.ext", info(name, lines=lines))
    file.section(".bss", type=SHT_NOBITS, flags=ALLOC, size=MB * 64)
    text = file.code(".text", NOP * 2999 + EXIT)
    sub = file.symbol("sub", text, 0, 24_000)
    count = 3500
    code = file.code("socket", (pack("<BBhi", 0x85, 0x10, 0, -1) + EXIT) * count)
    start = len(file.strings)
    file.strings += ("\N{HONEYBEE}" * 20 + "n" * 900).encode() + b"\0"
    for n in range(count):
        file.symbol(f"f{n}", code, 16 * n, 16)
    for _ in range(4200):
        file.symbol(start, code, type=STT_OBJECT)
    file.relocations(code, [(16 * n, 10, sub) for n in range(count)])
    return file.build()


HOSTILE = [
    many_sections, more_sections_than_there_are, sections_beyond_counting,
    code_shown_again_and_again, data_shown_again_and_again, relocations_shown_again_and_again,
    sections_with_relocations, boundless_bss, much_bss, just_enough_bss, long_section_names,
    long_symbol_names, symbol_names_of_the_longest, names_without_end, functions_at_one_place,
    functions_that_do_not_fit, many_programs, programs_in_a_section_of_slashes,
    programs_that_call_a_large_function, programs_that_call_many_functions,
    functions_that_call_the_next_twice, functions_that_call_all_others, one_function_of_calls,
    programs_that_share_many_lines, sections_of_one_name_with_lines, exception_callbacks,
    instructions_that_are_none, constants_cut_off, jumps_everywhere, one_map_declared_often,
    many_maps_of_one_type, maps_with_values, a_map_with_very_many_values, tags_of_one_map,
    legacy_maps_that_overlap, legacy_maps_in_one_another, structs_of_operations_that_overlap,
    one_variable_declared_often, many_variables, kernel_functions_of_one_prototype,
    kernel_options_of_any_size, sections_of_externs, an_access_of_a_hundred_thousand,
    accesses_that_are_tails, many_relocations_of_one_field, relocations_through_long_names,
    names_of_many_sections, lines_and_nothing_else, functions_and_nothing_else,
]  # fmt: skip
CORE = [accesses_that_are_tails, many_relocations_of_one_field, relocations_through_long_names]


@pytest.mark.parametrize("make", HOSTILE)
def test_no_object_costs_much(make: Callable[[], bytes]) -> None:
    bounded(looked_at, make())


def test_all_at_once_costs_no_more() -> None:
    assert " 3500 programs" in bounded(parsed, all_at_once())


@pytest.mark.parametrize("make", CORE)
def test_no_relocation_costs_much(make: Callable[[], bytes]) -> None:
    assert " rows, the last: " in bounded(explained, make())
