"""Programs written in Python: what becomes of their labels, comments, maps and kernel functions.

The kernel shows source lines in the verifier's log when it is given a BTF blob with a function
for each function and a line for each place. So every assembled program gets one, whose lines are
the comments of the program and, where there are none, the lines of the Python that made the
instructions. Imported only for such programs.
"""

from __future__ import annotations

import linecache

from skep.asm.assembler import assemble
from skep.asm.instruction import PSEUDO_MAP_FD, PSEUDO_MAP_VALUE
from skep.btf.btf import Btf
from skep.btf.writer import Builder
from skep.errors import KernelError, NotFoundError, PrivilegeError, RangeError
from skep.kernel import bpf
from skep.kernel.constants import AttachType, ProgramType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from skep.asm.assembler import Assembly, SourceLine
    from skep.asm.code import Code
    from skep.asm.instruction import Instruction
    from skep.asm.items import Source
    from skep.kernel.fd import FD
    from skep.maps.map import Map
    from skep.maps.spec import MapSpec
    from skep.programs.program import Program
    from skep.programs.spec import ProgramSpec
    from skep.programs.targets import TypeTarget

_LONGEST = 200  # characters of a source line that are worth keeping
_MOST_LINES = (1 << 20) - 1  # a line number has 22 bits; this leaves the rest alone


def numbers(
    name: str, type: ProgramType | str | None, attach_type: AttachType | str | None
) -> tuple[ProgramType | None, AttachType | None]:
    """Return the types of program *name* that are given by name as numbers.

    Raises `RangeError` listing the names that come close.
    """
    if isinstance(type, str):
        type = ProgramType[_known(name, type, ProgramType.__members__, "program type")]
    if isinstance(attach_type, str):
        attach_type = AttachType[_known(name, attach_type, AttachType.__members__, "attach type")]
    return type, attach_type


def _known(program: str, given: str, names: Iterable[str], what: str) -> str:
    plain = given.upper()
    if plain in names:
        return plain
    from difflib import get_close_matches

    close = get_close_matches(plain, names, n=4)
    hint = f"did you mean {', '.join(each.lower() for each in close)}?" if close else ""
    message = f"program {program!r}: there is no {what} {given!r}"
    raise RangeError(message, hint=hint, given=given, program=program)


def build(
    name: str,
    code: Iterable[Instruction] | None,
    instructions: Iterable[Source] | None,
    maps: dict[str, Map | MapSpec],
) -> tuple[Code, Btf, dict[int, str]]:
    """Assemble *instructions* for the program *name*; add the live maps in it to *maps*.

    Returns the code, BTF that describes it, and its labels by index.
    """
    if code is not None or instructions is None:
        message = f"program {name!r} is made from either code or instructions, not from both"
        if code is None:
            message = f"program {name!r} has no instructions"
        raise RangeError(message, program=name)
    made = assemble(instructions, name=f"program {name!r}")
    for each, live in made.maps.items():
        if maps.setdefault(each, live) is not live:  # type: ignore[arg-type]
            message = (
                f"program {name!r} refers to a map {each!r}, and is given another of that name"
            )
            raise RangeError(message, program=name)
    labels = {index: label for label, index in made.labels.items()}
    return made.code, _describe(name, made), {**labels, **made.functions}


def _describe(name: str, made: Assembly) -> Btf:
    """Write BTF for *made*, and tables for its code that refer to it."""
    builder = Builder(made.code.byteorder)
    number = builder.int("int", 4, signed=True)
    prototype = builder.func_proto(number, [])
    names = {0: name or "main", **{at: each for at, each in made.functions.items() if at}}
    used = set[str]()
    for index in sorted(names):
        function = _identifier(names[index], used)
        made.code.functions.append((index, builder.func(function, prototype, 0)))
    made.code.lines = [
        (line.index, builder.string(file), builder.string(text), min(number, _MOST_LINES) << 10)
        for line in _lines(made, sorted(names))
        for file, number, text in [_shown(line)]
    ]
    return Btf.from_bytes(builder.build(), name=f"program {name!r}")


def _identifier(name: str, used: set[str]) -> str:
    """Make a C identifier of *name*, which the kernel insists on, that is not in *used*."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in name)
    plain = f"_{plain}"[:120] if plain[:1].isdigit() else plain[:120] or "_"
    made, count = plain, 1
    while made in used:
        count += 1
        made = f"{plain}_{count}"
    used.add(made)
    return made


def _lines(made: Assembly, starts: list[int]) -> list[SourceLine]:
    """Return the lines of *made*; the kernel wants one where each function starts, or none."""
    from skep.asm.assembler import SourceLine

    if not made.lines:
        return []
    found = {line.index: line for line in made.lines}
    last = made.lines[0]
    for line in made.lines:
        while starts and starts[0] <= line.index:
            start = starts.pop(0)
            found.setdefault(start, SourceLine(start, last.file, last.number, last.text))
        last = line
    for start in starts:
        found.setdefault(start, SourceLine(start, last.file, last.number, last.text))
    return [found[index] for index in sorted(found)]


def _shown(line: SourceLine) -> tuple[str, int, str]:
    """Return the name of the file, the line's number, and what to show for it."""
    file = line.file.rpartition("/")[2] or "<python>"
    text = line.text or linecache.getline(line.file, line.number).strip().rstrip(",")
    return file, line.number, text[:_LONGEST].replace("\0", " ") or f"line {line.number}"


# -- loading ------------------------------------------------------------------------------


def load(
    spec: ProgramSpec,
    code: Code | None,
    target: TypeTarget | None,
    fd_array: Sequence[FD | int],
    token: FD | None,
    log_level: int,
) -> Program:
    """Load an assembled program; *code* is given when an object has filled in the references."""
    owned: dict[str, Map] = {}
    try:
        code = _filled(spec, owned) if code is None else code
        _call_kernel(spec, code)
        with _Blob(spec.btf) as btf_fd:
            program = spec.load_code(
                code=code,
                btf_fd=btf_fd,
                target=target,
                fd_array=fd_array,
                token=token,
                log_level=log_level,
            )
    except BaseException:
        for each in owned.values():
            each.close()
        raise
    program.maps = owned
    return program


class _Blob:
    """The program's BTF in the kernel, for as long as the load takes; the program keeps it."""

    def __init__(self, btf: Btf | None) -> None:
        self.fd: FD | None = None
        if btf is None:
            return
        try:
            self.fd = bpf.btf_load(btf.raw)
        except PrivilegeError:
            return  # the load itself says better what is missing
        except KernelError:
            return  # an old kernel: the program does without source lines

    def __enter__(self) -> FD | None:
        return self.fd

    def __exit__(self, *_: object) -> None:
        if self.fd is not None:
            self.fd.close()


def _filled(spec: ProgramSpec, owned: dict[str, Map]) -> Code:
    """Return the code with maps and kernel functions filled in; maps it creates go to *owned*."""
    code = spec.code.copy()
    for reference in code.references:
        if reference.kind == "kfunc":
            continue
        live = _live(spec, reference.name, owned)
        instruction = code.at(reference.index)
        instruction.src = PSEUDO_MAP_FD if reference.kind == "map" else PSEUDO_MAP_VALUE
        instruction.imm = live.fileno()
        code.put(reference.index, instruction)
    return code


def _call_kernel(spec: ProgramSpec, code: Code) -> None:
    """Fill in which kernel functions are called."""
    for reference in code.references:
        if reference.kind == "kfunc":
            code.set_imm(reference.index, _kernel_function(spec, reference.name))
    code.references = []


def _live(spec: ProgramSpec, name: str, owned: dict[str, Map]) -> Map:
    if name in owned:
        return owned[name]
    found = spec.maps.get(name)
    if found is None:
        known = ", ".join(spec.maps) or "none"
        message = f"program {spec.name!r} refers to the map {name!r}, which it is not given"
        raise NotFoundError(
            message,
            hint=f"pass maps={{{name!r}: ...}}, or load it in an ObjectSpec with that map"
            if not spec.maps
            else f"its maps are: {known}",
            name=name,
            where=f"program {spec.name!r}",
        )
    from skep.maps.spec import MapSpec

    if not isinstance(found, MapSpec):
        return found
    owned[name] = found.create()
    return owned[name]


def _kernel_function(spec: ProgramSpec, name: str) -> int:
    from skep.btf.kernel import own_btf
    from skep.btf.types import Kind

    kernel = own_btf()
    ids = kernel.find(name, Kind.FUNC)
    if not ids:
        message = f"program {spec.name!r} calls the kernel function {name!r}, which does not exist"
        hint = "it may be newer than this kernel, or in a module"
        raise NotFoundError(message, hint=hint, name=name, where=kernel.name)
    return ids[0]
