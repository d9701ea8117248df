"""The steps of loading: BTF, maps, CO-RE, programs. `skep.object.load` puts them together."""

from __future__ import annotations

import sys
from os import environ

from skep.asm.instruction import PSEUDO_MAP_FD, PSEUDO_MAP_VALUE
from skep.btf.target import Target, find_target
from skep.errors import (
    KernelError,
    NoBtfError,
    PrivilegeError,
    RelocationError,
    SkepError,
    VerifierError,
)
from skep.kernel import bpf
from skep.kernel.constants import MapType, ProgramType
from skep.object.core import Resolver
from skep.object.core_patch import POISON, Poisoned, relocate
from skep.object.variables import unknown_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from typing import TypeAlias

    from skep.asm.code import Code
    from skep.btf.btf import Btf
    from skep.kernel.fd import FD
    from skep.maps.map import Map
    from skep.maps.spec import MapSpec
    from skep.object.extern_link import ExternLinker
    from skep.object.externs import ExternSpec
    from skep.object.object import Object
    from skep.object.spec import ObjectSpec
    from skep.object.struct_ops import AllOperations
    from skep.programs.program import Program
    from skep.programs.spec import ProgramSpec

    Types: TypeAlias = Btf | str | os.PathLike[str] | None
    Token: TypeAlias = FD | str | os.PathLike[str] | None

KCONFIG = ".kconfig"
TOKEN_VARIABLES = ("SKEP_BPF_TOKEN", "LIBBPF_BPF_TOKEN_PATH")
"""Environment variables that name a bpffs to make a BPF token from; the second is libbpf's."""

# Maps whose `initial` values are maps; those of program arrays are programs.
_OUTER = (MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS)


class Loading:
    """One load under way: what its steps share, and the descriptors needed until it is over."""

    __slots__ = (
        "_own_token", "_resolver", "btf", "chosen", "linker", "live", "log_level", "operations",
        "token",
    )  # fmt: skip

    def __init__(self, live: Object, chosen: list[ProgramSpec], btf: Types, log_level: int) -> None:
        self.live = live
        self.chosen = chosen
        self.btf = btf
        self.log_level = log_level
        self.linker = _extern_linker(live.spec, chosen)
        self.operations: AllOperations | None = None
        self.token: FD | None = None
        self._own_token = False
        self._resolver: Resolver | None = None
        if live.spec.btf is not None:
            self._resolver = Resolver(live.spec.btf, self.target)

    def close(self) -> None:
        """Close what only the loading needed."""
        self._resolver = None  # which refers to this: an object nobody closes must be noticed
        if self.linker is not None:
            self.linker.close()
        if self.operations is not None:
            self.operations.close()
        if self.token is not None and self._own_token:
            self.token.close()

    def target(self) -> Target:
        """Choose whose types relocations are resolved against, when the first one asks."""
        live, btf = self.live, self.btf
        if live.target is None:
            if btf is None or isinstance(btf, str) or hasattr(btf, "__fspath__"):
                live.target = find_target(btf, near=live.spec.path)
            else:
                live.target = Target.given(btf)
        return live.target

    def find_token(self, given: Token) -> None:
        """Take the token that was given, or make one from the bpffs that was named."""
        if given is None and not any(name in environ for name in TOKEN_VARIABLES):
            return
        from skep.object.token import find_token

        self.token, self._own_token = find_token(given)

    def load_btf(self) -> None:
        """Give the kernel the object's BTF, in a form that it takes.

        Without it programs mostly load all the same (no source lines, no global functions), so a
        refusal is kept in `btf_error` and told with a program's failure.
        """
        live = self.live
        btf = live.spec.btf
        if btf is None:
            return
        try:
            live.btf_fd = bpf.btf_load(btf.raw, token_fd=self.token)
        except PrivilegeError:
            raise
        except KernelError as error:
            from skep.object.failure import load_older_btf

            live.btf_fd, live.btf_error = load_older_btf(btf, live.spec.name, error, self.token)

    def fit_operations(self) -> None:
        """Lay the structs of operations out as the kernel wants them, where there are any."""
        if not any(each.type == MapType.STRUCT_OPS for each in self.live.spec.maps.values()):
            return
        from skep.object.struct_ops import prepare

        self.operations = prepare(self.live.spec, self.chosen)
        absent = self.operations.absent()
        self.chosen = [program for program in self.chosen if program.name not in absent]

    def create_maps(self, reuse: Mapping[str, Map]) -> None:
        """Create the object's maps, or take those of *reuse*."""
        live = self.live
        for name, each in live.spec.maps.items():
            if name in reuse:
                live.borrowed.add(name)
                live.maps[name] = reuse[name]
            elif each.autocreate:
                if each.type == MapType.STRUCT_OPS and self.operations is not None:
                    made = self.operations.by_name[name]
                    live.maps[name] = made.create(live.btf_fd, self.token)
                    live.operations[name] = made
                    continue
                if name == KCONFIG:
                    each = self._options(each)  # noqa: PLW2901
                live.maps[name] = each.create(btf_fd=live.btf_fd, token=self.token)
        for name in reuse:
            if name not in live.maps:
                raise unknown_name(name, live.spec.maps, "map", live.spec.name)

    def _options(self, each: MapSpec) -> MapSpec:
        """Return the map of kernel options with their values; zeros when no program asks."""
        if self.linker is None:
            return each.copy(contents=bytearray(each.value_size))
        return self.linker.filled(each, self.chosen)

    def load_programs(self) -> dict[str, SkepError]:
        """Load the programs; return the failures by name."""
        failures: dict[str, SkepError] = {}
        for program in self.chosen:
            try:
                loaded = self._load_program(program)
            except (PrivilegeError, NoBtfError):
                raise  # what is wrong with the machine would only be repeated
            except SkepError as error:
                from skep.object.failure import complete

                complete(error, program)
                failures[program.name] = error
            else:
                self.live.programs[program.name] = loaded
        return failures

    def _load_program(self, program: ProgramSpec) -> Program:
        if program.problem is not None:
            raise program.problem.with_traceback(None)
        live = self.live
        code = program.code.copy()
        poisoned: dict[int, Poisoned] = {}
        if code.core and self._resolver is not None:
            poisoned = relocate(code, self._resolver, program.name)
        _fill_references(live, program, code)
        absent: dict[int, ExternSpec] = {}
        fd_array: list[FD | int] = []
        if self.linker is not None:
            absent = self.linker.fill(program, code, dict.get(live.maps, KCONFIG))
            fd_array = self.linker.fd_array
        member = None
        if program.type == ProgramType.STRUCT_OPS:
            from skep.object.struct_ops import target_of

            member = target_of(program, self.operations)
        try:
            return program.load(
                code=code,
                btf_fd=live.btf_fd,
                target=member,
                fd_array=fd_array,
                token=self.token,
                log_level=self.log_level,
            )
        except VerifierError as error:
            bad = None if error.instruction is None else poisoned.get(error.instruction)
            extern = None if error.instruction is None else absent.get(error.instruction)
            if extern is not None:
                from skep.object.extern_failure import called

                raise called(program, extern, error) from None
            if bad is not None and str(POISON) in error.log:
                from skep.object.failure import unresolved

                raise unresolved(program, bad, error) from None
            if not error.hint:
                from skep.object.failure import hint_of

                error.hint = hint_of(live.spec, code)
            if live.btf_error is not None:
                error.add_note(f"the kernel also refused the object's BTF: {live.btf_error}")
            raise

    def fill_maps(self) -> None:
        """Store the initial values of program arrays and maps of maps."""
        live = self.live
        for name, spec in live.spec.maps.items():
            if not spec.initial or name in live.borrowed or name not in live.maps:
                continue
            if spec.type == MapType.STRUCT_OPS or spec.contents is not None:
                continue  # programs, stored when it is attached; addresses, which nobody can use
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

    def store_operations(self, failures: Mapping[str, SkepError]) -> None:
        """Give the kernel the structs that links will attach: it checks them now."""
        if self.operations is None or failures:
            return
        from skep.links.struct_ops import store

        live = self.live
        for name, made in live.operations.items():
            if made.spec.by_link:
                store(live.maps[name], made.filled(live.programs))


def _extern_linker(spec: ObjectSpec, chosen: list[ProgramSpec]) -> ExternLinker | None:
    """Return what resolves externs, None when no program has any."""
    if not any(ref.kind == "extern" for program in chosen for ref in program.code.references):
        return None
    from skep.object.extern_link import ExternLinker

    return ExternLinker(spec)


def _fill_references(live: Object, program: ProgramSpec, code: Code) -> None:
    """Write map descriptors and places of variables into the code."""
    for reference in code.references:
        if reference.kind in ("extern", "kfunc"):
            continue  # filled in by the linker of externs, or by the program itself
        found = dict.get(live.maps, reference.name) or program.given_map(reference.name)
        if found is None:
            message = (
                f"program {program.name!r} uses map {reference.name!r},"
                " which was not created (autocreate is off)"
            )
            raise RelocationError(
                message,
                hint="leave the program out too",
                program=program.name,
                section=program.section,
                reason="the map was not created",
            )
        index = reference.index
        instruction = code.at(index)
        instruction.src = PSEUDO_MAP_FD if reference.kind == "map" else PSEUDO_MAP_VALUE
        instruction.imm = found.fileno()
        code.put(index, instruction)
        offset = reference.offset + (found.contents_at if reference.kind == "data" else 0)
        code.set_imm(index + 1, offset)
