"""Loading: BTF, maps, CO-RE, programs. The one place where a spec meets the kernel."""

from __future__ import annotations

import sys

from skep.asm.instruction import PSEUDO_MAP_FD, PSEUDO_MAP_VALUE
from skep.errors import (
    KernelError,
    LoadErrors,
    NoBtfError,
    PrivilegeError,
    RelocationError,
    SkepError,
    UnsupportedError,
    VerifierError,
)
from skep.kernel import bpf
from skep.kernel.constants import MapType
from skep.object import ledger
from skep.object.core import Resolver
from skep.object.core_patch import POISON, Poisoned, relocate
from skep.object.object import Object
from skep.object.variables import unknown_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import NoReturn

    from skep.asm.code import Code
    from skep.btf.btf import Btf
    from skep.kernel.fd import FD
    from skep.maps.map import Map
    from skep.object.spec import ObjectSpec
    from skep.programs.program import Program
    from skep.programs.spec import ProgramSpec

# Maps whose `initial` values are maps; those of program arrays are programs.
_OUTER = (MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS)


def load(
    spec: ObjectSpec,
    *,
    btf: Btf | None,
    programs: Callable[[ProgramSpec], bool] | Collection[str] | None,
    log_level: int,
    reuse_maps: Mapping[str, Map],
) -> Object:
    """Load *spec*; see `ObjectSpec.load`."""
    if spec.byteorder != sys.byteorder:
        message = f"object {spec.name} is {spec.byteorder}-endian, this machine is not"
        hint = f"compile it for this machine's byte order ({sys.byteorder}-endian)"
        raise UnsupportedError(message, hint=hint, feature=f"{spec.byteorder}-endian programs")
    chosen = _choose(spec, programs)
    live = Object(spec)
    try:
        _load_btf(live)
        _create_maps(live, reuse_maps)
        _load_programs(live, chosen, btf, log_level)
        _fill_maps(live)
        ledger.bind(live.maps)
    except PrivilegeError as error:
        from skep.object.failure import all_privileges

        live.close()
        raise all_privileges(spec, chosen, error) from error
    except BaseException:
        live.close()
        raise
    return live


def _choose(
    spec: ObjectSpec, programs: Callable[[ProgramSpec], bool] | Collection[str] | None
) -> list[ProgramSpec]:
    every = spec.programs
    if programs is None:
        return [program for program in every.values() if program.autoload]
    if callable(programs):
        return [program for program in every.values() if programs(program)]
    for name in programs:
        if name not in every:
            raise unknown_name(name, every, "program", spec.name)
    return [program for name, program in every.items() if name in programs]


def _load_btf(live: Object) -> None:
    """Give the kernel the object's BTF, in a form that it takes.

    Without it programs mostly load all the same (no source lines, no global functions), so a
    refusal is kept in `btf_error` and told with a program's failure.
    """
    btf = live.spec.btf
    if btf is None:
        return
    try:
        live.btf_fd = bpf.btf_load(btf.raw)
    except PrivilegeError:
        raise
    except KernelError as error:
        from skep.object.failure import load_older_btf

        live.btf_fd, live.btf_error = load_older_btf(btf, live.spec.name, error)


def _create_maps(live: Object, reuse: Mapping[str, Map]) -> None:
    for name, each in live.spec.maps.items():
        if name in reuse:
            live.borrowed.add(name)
            live.maps[name] = reuse[name]
        elif each.autocreate:
            live.maps[name] = each.create(btf_fd=live.btf_fd)
    for name in reuse:
        if name not in live.maps:
            raise unknown_name(name, live.spec.maps, "map", live.spec.name)


def _load_programs(
    live: Object, chosen: list[ProgramSpec], target: Btf | None, log_level: int
) -> None:
    resolver: Resolver | None = None
    if live.spec.btf is not None:
        resolver = Resolver(live.spec.btf, lambda: _kernel_types(target))
    failures: list[SkepError] = []
    for program in chosen:
        try:
            loaded = _load_program(live, program, resolver, log_level)
        except (PrivilegeError, NoBtfError):
            raise  # what is wrong with the machine would only be repeated
        except SkepError as error:
            failures.append(error)
        else:
            live.programs[program.name] = loaded
    if len(failures) == 1:
        raise failures[0]
    if failures:
        count = f"{len(failures)} of {len(chosen)} programs of {live.spec.name}"
        raise LoadErrors(f"{count} failed to load", failures)


def _kernel_types(given: Btf | None) -> Btf:
    if given is not None:
        return given
    from skep.btf.kernel import kernel_btf

    return kernel_btf()


def _load_program(
    live: Object, program: ProgramSpec, resolver: Resolver | None, log_level: int
) -> Program:
    code = program.code.copy()
    poisoned: dict[int, Poisoned] = {}
    if code.core and resolver is not None:
        poisoned = relocate(code, resolver, program.name)
    _fill_references(live, program, code)
    try:
        return program.load(code=code, btf_fd=live.btf_fd, log_level=log_level)
    except VerifierError as error:
        bad = None if error.instruction is None else poisoned.get(error.instruction)
        if bad is not None and str(POISON) in error.log:
            _unresolved(program, bad, error)
        if live.btf_error is not None:
            error.add_note(f"the kernel also refused the object's BTF: {live.btf_error}")
        raise


def _fill_references(live: Object, program: ProgramSpec, code: Code) -> None:
    """Write map descriptors and places of variables into the code."""
    for reference in code.references:
        if reference.kind == "extern":
            _refuse_extern(program, reference.name)
        found = dict.get(live.maps, reference.name)
        if found is None:
            message = (
                f"program {program.name!r} uses map {reference.name!r},"
                " which was not created (autocreate is off)"
            )
            raise RelocationError(message, program=program.name, reason="the map was not created")
        index = reference.index
        instruction = code.at(index)
        instruction.src = PSEUDO_MAP_FD if reference.kind == "map" else PSEUDO_MAP_VALUE
        instruction.imm = found.fileno()
        code.put(index, instruction)
        code.set_imm(index + 1, reference.offset)


def _refuse_extern(program: ProgramSpec, name: str) -> NoReturn:
    message = f"program {program.name!r} needs the external symbol {name!r}"
    raise UnsupportedError(
        f"{message}: kernel symbols, kernel functions and kernel configuration are not linked yet",
        feature="extern symbols",
        program=program.name,
        name=name,
    )


def _unresolved(program: ProgramSpec, bad: Poisoned, error: VerifierError) -> NoReturn:
    """Say which field is missing instead of the verifier's words about a poisoned call."""
    from skep.programs.verifier import SourceLine

    message = f"program {program.name!r} (section {program.section!r}) {bad.sentence}"
    if error.line:
        place = SourceLine(error.file, error.line_number, error.line)
        message += f", at {place}"
    raise RelocationError(
        message,
        hint="guard it with bpf_core_field_exists() and the like, or leave the program out",
        program=program.name,
        section=program.section,
        type=bad.type,
        field=bad.field,
        reason=bad.reason,
        log=error.log,
        errno=error.errno,
        file=error.file,
        line_number=error.line_number,
        line=error.line,
    ) from None  # what the verifier says of a poisoned call would only be in the way


def _fill_maps(live: Object) -> None:
    """Store the initial values of program arrays and maps of maps."""
    for name, spec in live.spec.maps.items():
        if not spec.initial or name in live.borrowed or name not in live.maps:
            continue
        outer = live.maps[name]
        for index, symbol in spec.initial:
            inside: FD
            if spec.type in _OUTER:
                inside = live.maps[symbol].fd
            else:
                program = dict.get(live.programs, symbol)
                if program is None:
                    continue  # left out, so its slot stays empty, as a tail call allows
                inside = program.fd
            number = inside.fileno().to_bytes(4, sys.byteorder)
            bpf.map_update(outer.fd, index.to_bytes(4, sys.byteorder), number)
