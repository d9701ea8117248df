"""What each target does with an input, and what must not happen.

A target takes bytes and returns nothing. A `SkepError` is a fine answer to any of them; every other
exception that comes out of a target is a finding, and so are more than `MAX_SECONDS` and more than
`MAX_MEMORY`. Beyond that the targets check what must hold for any input that is accepted: what is
found by name has that name, what is written is read again, what is encoded is decoded.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar

from fuzz.types_target import types_target
from skep.asm.code import Code
from skep.asm.instruction import decode, encode
from skep.asm.listing import disassemble
from skep.asm.opcodes import instruction_version
from skep.bindings.write import generate
from skep.btf import types as t
from skep.btf.btf import Btf
from skep.btf.codec import codec
from skep.btf.distilled import elf_btf, relocate
from skep.btf.dtype import dtype
from skep.btf.ext import BtfExt
from skep.btf.format_c import declaration, definition, dump_c
from skep.btf.header import is_split
from skep.btf.writer import Builder
from skep.elf.binary import Binary
from skep.elf.reader import ElfFile
from skep.elf.strip import strip_debug
from skep.errors import SkepError
from skep.object.describe import describe
from skep.object.minimize import minimize
from skep.object.relocations import explain
from skep.object.spec import ObjectSpec
from skep.programs.precheck import precheck
from skep.programs.verifier import read_log

if TYPE_CHECKING:
    from collections.abc import Callable

    T = TypeVar("T")

MAX_SECONDS = 5
MAX_MEMORY = 256 << 20
"""Bytes that the whole process may have resident, the interpreter included."""

# What a visit of one input looks at; what an input costs *as a whole* is measured by
# tests/unit/*/test_hostile.py with inputs made for it.
_TYPES = 64
_VALUE = 1 << 12
_RELOCATIONS = 64
_MODULE = 1 << 20  # characters that the compiler of Python is given


def quietly(function: Callable[..., T], *args: Any, **kwargs: Any) -> T | None:
    """Call *function*; None where it refuses with one of our own errors."""
    try:
        return function(*args, **kwargs)
    except SkepError as error:
        str(error)
        return None


def plain(found: t.Type) -> tuple[Any, ...]:
    """Return what a type object holds, without its blob."""
    names = [name for kind in type(found).__mro__ for name in getattr(kind, "__slots__", ())]
    values = {name: getattr(found, name) for name in names if name != "btf"}
    if isinstance(found, t.Composite):
        members = [(m.name, m.type_id, m.bit_offset, m.bit_size) for m in found.members]
        values["members"] = members
    return type(found).__name__, int(found.kind), sorted(values.items())


# -- the targets --------------------------------------------------------------------------


def btf_target(data: bytes) -> None:
    """Parse a BTF blob, alone or on top of a base, and look at everything in it."""
    blob = quietly(Btf.from_bytes, data, name="fuzzed")
    if blob is not None:
        visit_btf(blob)
    if quietly(is_split, data) or (blob is not None and len(data) % 2):
        split = quietly(Btf.from_bytes, data, base=base_btf(data), name="fuzzed")
        if split is not None:
            visit_btf(split)
            quietly(relocate, split, base_btf(data))
    lazy = quietly(Btf.from_bytes, data, name="fuzzed", trusted=True)
    if lazy is not None:
        # What is said to come from the kernel is walked as far as it is asked for.
        quietly(lazy.find, "a")
        quietly(lazy.type, 3)
        quietly(len, lazy)


def btf_ext_target(data: bytes) -> None:
    """Parse a .BTF.ext section that goes with a fixed BTF."""
    ext = quietly(BtfExt.from_bytes, data, base_btf(data))
    if ext is not None:
        for section in ext.core_relocations.values():
            for relocation in section[:_RELOCATIONS]:
                repr(relocation)


def elf_target(data: bytes) -> None:
    """Read an object file, and do all that can be done with one without a kernel."""
    spec = quietly(ObjectSpec.from_bytes, data, "fuzzed.bpf.o")
    quietly(strip_debug, data, "fuzzed.bpf.o")
    file = quietly(ElfFile, data, "fuzzed.ko")
    if file is not None:
        quietly(elf_btf, file, lambda: base_btf(b"\x9f" if file.byteorder == "little" else b"\xeb"))
    if spec is not None:
        visit_spec(spec)


def code_target(data: bytes) -> None:
    """Decode, list and check instructions; the first byte says which type of program."""
    order: Any = "big" if data[:1] > b"\x7f" else "little"
    kind = data[0] & 0x3F if data else 0
    instructions = quietly(decode, data[1:], order)
    if instructions is None:
        return
    if encode(instructions, order) != data[1:]:
        raise AssertionError("instructions change when they are decoded and encoded")
    for instruction in instructions[:_TYPES]:
        repr(instruction)
        quietly(instruction_version, instruction)
    code = Code(data[1:], order)
    listed = disassemble(code)
    if len(disassemble(code, labels=False)) > len(instructions) or (instructions and not listed):
        raise AssertionError("a listing has more or fewer lines than there are instructions")
    for problem in precheck(code, kind):
        str(problem)
        if not 0 <= problem.index <= len(code):
            raise AssertionError(f"a problem at instruction {problem.index} of {len(code)}")


def binary_target(data: bytes) -> None:
    """Look for symbols in an executable or library."""
    file = os.memfd_create("fuzzed")
    try:
        os.write(file, data)
        binary = quietly(Binary, f"/proc/self/fd/{file}")
        if binary is not None:
            with binary:
                quietly(binary.symbol_offset, "main")
                quietly(binary.symbol_offset, "memcpy@GLIBC_2.14")
                quietly(lambda: binary.build_id)
                functions = quietly(lambda: list(binary.functions())) or []
                for function in functions[:8]:
                    repr(function)
                    quietly(binary.symbol_offset, function.name)
                    quietly(binary.address, function.file_offset)
    finally:
        os.close(file)


def log_target(data: bytes) -> None:
    """Read what a kernel's verifier has written."""
    verdict = read_log(data.decode("utf-8", "replace"))
    if verdict.instruction is not None and verdict.instruction < 0:
        raise AssertionError("a verifier log names an instruction before the first")


TARGETS: dict[str, Callable[[bytes], None]] = {
    "elf": elf_target,
    "btf": btf_target,
    "btf_ext": btf_ext_target,
    "types": types_target,
    "code": code_target,
    "binary": binary_target,
    "log": log_target,
}


# -- what they look at --------------------------------------------------------------------

_bases: dict[str, Btf] = {}


def base_btf(data: bytes) -> Btf:
    """Return the BTF that split BTF and .BTF.ext go with, in the byte order *data* claims."""
    order = "big" if data[:1] == b"\xeb" else "little"
    if order not in _bases:
        builder = Builder(order)
        number = builder.int("int", 4, signed=True)
        pointer = builder.pointer(number)
        inner = builder.struct("inner", 8, [("a", number, 0), ("b", number, 32)])
        members = [("x", number, 0), ("in", inner, 32), ("p", pointer, 128)]
        builder.struct("task", 24, members)
        builder.enum("e", [("A", 0), ("B", 1)])
        proto = builder.func_proto(number, [("ctx", pointer)])
        builder.func("prog", proto)
        for text in ("socket", ".text", "0:1", "0:1:0", "0", "prog.bpf.c", "\treturn x->in.a;"):
            builder.string(text)
        _bases[order] = Btf.from_bytes(builder.build(), name="base")
    return _bases[order]


def visit_btf(btf: Btf) -> None:
    """Look at everything in *btf*."""
    repr(btf)
    last = len(btf)
    ids = range(last) if last <= _TYPES else [*range(_TYPES // 2), *range(last - _TYPES // 2, last)]
    types = {id_: quietly(btf.type, id_) for id_ in ids}
    quietly(btf.type, last)
    quietly(btf.strings_starting, "a")
    for id_, found in types.items():
        if found is not None:
            _visit_type(btf, id_, found)
    text = quietly(dump_c, btf)
    if text is not None:
        text.encode()
    if btf.base is None and last <= _TYPES and None not in types.values():
        _write_again(btf)


def _visit_type(btf: Btf, id_: int, found: t.Type) -> None:
    repr(found)
    if btf.kind_of(id_) != found.kind:
        raise AssertionError(f"type {id_} is of two kinds")
    hits = quietly(btf.find, found.name) if found.name and id_ else [id_]
    if hits is not None and id_ not in hits:
        raise AssertionError(f"type {id_} is not found by its name {found.name!r}")
    quietly(btf.find_type, found.name, int(found.kind))
    quietly(btf.strip, id_)
    size = quietly(btf.size_of, id_)
    quietly(btf.align_of, id_)
    quietly(declaration, btf, id_, "x")
    quietly(definition, btf, id_)
    if isinstance(found, t.Composite):
        quietly(btf.is_packed, found)
        for member in found.members[:_RELOCATIONS]:
            repr(member)
            quietly(btf.bit_field_unit, member)
    made = quietly(codec, btf, id_)
    if made is None:
        return
    if made.size != size and not isinstance(found, t.Var):
        raise AssertionError(f"type {id_} has {size} bytes, its codec {made.size}")
    columns = quietly(dtype, btf, id_)
    if columns is not None and columns.itemsize != made.size:
        raise AssertionError(f"type {id_} has {made.size} bytes, its dtype {columns.itemsize}")
    if made.size <= _VALUE and made.weight <= _VALUE:
        value = quietly(made.unpack, bytes(made.size))
        repr(value)
        packed = quietly(made.pack, value)
        if packed is not None and packed != bytes(made.size):
            raise AssertionError(f"zeros of type {id_} change when they are decoded and encoded")
        quietly(made.unpack, b"\xff" * made.size)
        quietly(made.pack, None)
        quietly(made.pack, {})


def _write_again(btf: Btf) -> None:
    for order in ("little", "big"):
        builder = Builder(order)
        for found in btf.types():
            if quietly(builder.add, found, lambda id_: id_) is None:
                return
        copy = Btf.from_bytes(builder.build())
        if [plain(found) for found in copy.types()] != [plain(found) for found in btf.types()]:
            raise AssertionError("types change when they are written and read")


def visit_spec(spec: ObjectSpec) -> None:
    """Look at everything in *spec*."""
    repr(spec)
    copy = spec.copy()
    if list(copy.programs) != list(spec.programs) or list(copy.maps) != list(spec.maps):
        raise AssertionError("a copy of a spec is not the same")
    quietly(describe, spec)
    for program in spec.programs.values():
        repr(program)
        code = program.code
        if len(code) <= 4 * _VALUE:
            quietly(lambda: program.disassemble())  # noqa: B023, PLW0108  called at once
            quietly(precheck, code, program.type, btf=spec.btf)
        for table in (code.references, code.core):
            if any(not 0 <= row.index < len(code) for row in table):
                raise AssertionError(f"program {program.name!r} has a record outside its code")
        if any(not 0 <= row[0] < len(code) for row in [*code.lines, *code.functions]):
            raise AssertionError(f"program {program.name!r} has a record outside its code")
    for map_ in spec.maps.values():
        repr(map_)
    module = quietly(generate, spec, data=b"")
    if module is not None and len(module) < _MODULE:
        compile(module, "generated.py", "exec", dont_inherit=True)
    for variable in list(spec.variables.values())[:_TYPES]:
        repr(variable)
        quietly(lambda: variable.codec)  # noqa: B023
        if variable.size <= _VALUE:
            value = quietly(lambda: variable.value)  # noqa: B023
            if value is not None:
                quietly(setattr, copy.variables[variable.name], "value", value)
    for extern in list(spec.externs.values())[:_RELOCATIONS]:
        repr(extern)
        quietly(lambda: (extern.typed, extern.kernel_name, extern.declaration))  # noqa: B023
        quietly(setattr, extern, "value", 1)
        extern.copy()
    # The object's own types stand in for a kernel's: hostile on both sides.
    if spec.btf is not None and _questions(spec) <= _RELOCATIONS:
        for row in quietly(explain, spec, spec.btf) or []:
            row.as_dict()
        quietly(minimize, [spec], spec.btf)


def _questions(spec: ObjectSpec) -> int:
    return sum(len(program.code.core) for program in spec.programs.values())
