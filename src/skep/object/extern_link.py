"""Finding a loaded object's externs in the running kernel and writing them into its code.

The kernel takes a variable's address as a BTF id with a descriptor of the BTF it is in (0 for the
kernel's own), a function call as a BTF id with an index into an array of descriptors, which
starts with the kernel's own at 0 (`struct bpf_attr`, fd_array; Linux 5.14, "bpf: Support loader to
get module BTF"). A weak extern that is not there is 0; a call to it becomes one that no kernel
accepts, which does no harm where the verifier sees that it is never reached.

Everything is looked up when a program first needs it: BTF, kernel symbols and the configuration
of a kernel are read for objects that name something in them.
"""

from __future__ import annotations

from skep.asm.instruction import CALL, PSEUDO_BTF_ID, PSEUDO_KFUNC_CALL, PSEUDO_MAP_VALUE
from skep.btf.types import Kind
from skep.errors import KernelError, NoBtfError, PrivilegeError, SkepError
from skep.kernel import bpf
from skep.kernel.constants import ProgramType
from skep.object.extern_types import kernel_declaration, prototypes_agree, variables_agree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from skep.asm.code import Code
    from skep.btf import types as t
    from skep.btf.btf import Btf
    from skep.kernel.fd import FD
    from skep.kernel.kallsyms import KernelSymbol
    from skep.maps.map import Map
    from skep.maps.spec import MapSpec
    from skep.object.externs import ExternSpec
    from skep.object.spec import ObjectSpec
    from skep.programs.spec import ProgramSpec

POISON = 2_002_000_000
"""The helper number of a call to a missing weak kfunc, plus the extern's number: as libbpf's."""


class Found:
    """Where the kernel has an extern: `id` in the BTF of `module` ("" for the kernel's own).

    `address` is that of an untyped symbol. All are 0 for a weak one that is not there.
    """

    __slots__ = ("address", "id", "module")

    def __init__(self, id: int = 0, module: str = "", address: int = 0) -> None:
        self.id = id
        self.module = module
        self.address = address


class ExternLinker:
    """Resolves the externs of *spec* for the programs that are loaded.

    Owns the descriptors of modules' BTF, which are needed until the last program is loaded:
    `close()`. Not thread-safe.
    """

    __slots__ = ("_btf", "_found", "_modules", "_options", "_symbols", "spec")

    def __init__(self, spec: ObjectSpec) -> None:
        self.spec = spec
        self._btf: Btf | None = None
        self._found: dict[str, Found | SkepError] = {}
        self._options: dict[str, SkepError] = {}
        self._symbols: dict[str, list[KernelSymbol]] | None = None
        # In the order of the array of descriptors, whose first is the kernel's own BTF.
        self._modules: dict[str, FD] = {}

    def close(self) -> None:
        """Close the descriptors of modules' BTF. Idempotent."""
        while self._modules:
            self._modules.popitem()[1].close()

    @property
    def fd_array(self) -> list[FD | int]:
        """What to load programs with: empty as long as nothing of a module is called."""
        return [0, *self._modules.values()] if self._modules else []

    # -- kconfig --------------------------------------------------------------------------

    def filled(self, spec: MapSpec, programs: Iterable[ProgramSpec]) -> MapSpec:
        """Return the map of kconfig values with its contents.

        The configuration is only read when one of *programs* refers to it. What has no value is
        remembered, for the programs that use it.
        """
        from skep.object.extern_values import kernel_value

        contents = bytearray(spec.value_size)
        options = [extern for extern in self.spec.externs.values() if extern.kind == "kconfig"]
        used = {
            reference.name
            for program in programs
            for reference in program.code.references
            if reference.kind == "extern"
        }
        if used.intersection(extern.name for extern in options):
            for extern in options:
                try:
                    value = kernel_value(extern)
                except PrivilegeError:
                    raise
                except SkepError as error:
                    self._options[extern.name] = error
                else:
                    contents[extern.offset : extern.offset + extern.size] = value
        return spec.copy(contents=contents)

    # -- code -----------------------------------------------------------------------------

    def fill(self, program: ProgramSpec, code: Code, options: Map | None) -> dict[int, ExternSpec]:
        """Write every extern that *code* refers to into it; *options* is the map of kconfig values.

        Returns the weak kernel functions that are not there, by the index of their calls. Raises
        `ExternError` naming all that cannot be resolved at once; `PrivilegeError` and
        `NoBtfError` when the machine does not let them be looked up.
        """
        absent: dict[int, ExternSpec] = {}
        problems: dict[str, tuple[str, SkepError | None]] = {}
        for reference in code.references:
            if reference.kind != "extern":
                continue
            name = reference.name
            extern = self.spec.externs.get(name)
            if extern is None:
                problems[name] = ("symbol", None)
            elif extern.kind == "kconfig":
                error = self._options.get(name)
                if error is not None:
                    problems[name] = ("kconfig", error)
                elif options is not None:
                    place = extern.offset + reference.offset
                    _ld_imm64(code, reference.index, PSEUDO_MAP_VALUE, options.fileno(), place)
            else:
                found = self._find(extern)
                if isinstance(found, SkepError):
                    problems[name] = (extern.kind, found)
                elif code.at(reference.index).opcode == CALL:
                    if not self._call(code, reference.index, extern, found):
                        absent[reference.index] = extern
                else:
                    self._address(code, reference.index, extern, found, reference.offset)
        if problems:
            from skep.object.extern_failure import unresolved

            raise unresolved(program, self.spec, problems)
        return absent

    def _call(self, code: Code, index: int, extern: ExternSpec, found: Found) -> bool:
        instruction = code.at(index)
        instruction.dst = 0
        if found.id:
            instruction.src = PSEUDO_KFUNC_CALL
            instruction.imm = found.id
            instruction.offset = self._index(found.module)
        else:
            instruction.src = instruction.offset = 0
            instruction.imm = POISON + list(self.spec.externs).index(extern.name)
        code.put(index, instruction)
        return bool(found.id)

    def _address(
        self, code: Code, index: int, extern: ExternSpec, found: Found, offset: int
    ) -> None:
        if not found.id:
            address = found.address + offset if found.address else 0
            _ld_imm64(code, index, 0, address & 0xFFFFFFFF, address >> 32)
        elif extern.kind == "kfunc" and not _takes_functions(found, self):
            # Before Linux 6.4 ("bpf: Allow ld_imm64 instruction to point to kfunc") there is
            # no address to have; what programs want to know is whether it is 0.
            _ld_imm64(code, index, 0, 1, 0)
        else:
            where = self._descriptor(found.module)
            _ld_imm64(code, index, PSEUDO_BTF_ID, found.id, where)

    def _index(self, module: str) -> int:
        """Return the place of *module* in the array of descriptors."""
        if not module:
            return 0
        self._descriptor(module)
        return 1 + list(self._modules).index(module)

    def _descriptor(self, module: str) -> int:
        if not module:
            return 0
        if module not in self._modules:
            from skep.kernel.module_btf import module_btf_fd

            self._modules[module] = module_btf_fd(module)
        return self._modules[module].fileno()

    # -- the kernel -----------------------------------------------------------------------

    def _find(self, extern: ExternSpec) -> Found | SkepError:
        found = self._found.get(extern.name)
        if found is None:
            try:
                found = self._look_up(extern)
            except (PrivilegeError, NoBtfError):
                raise
            except SkepError as error:
                found = error
            self._found[extern.name] = found
        return found

    def _look_up(self, extern: ExternSpec) -> Found:
        if not extern.typed:
            return self._symbol(extern)
        kind = Kind.FUNC if extern.kind == "kfunc" else Kind.VAR
        try:
            hits = self._hits(extern.kernel_name, kind)
        except NoBtfError:
            if extern.weak:
                return Found()
            raise
        if not hits:
            if extern.weak:
                return Found()
            from skep.object.extern_failure import missing

            raise missing(extern, self._btf)
        module, declared = hits[0]
        agree = prototypes_agree if kind == Kind.FUNC else variables_agree
        if not agree(extern.btf, extern.type_id, declared.btf, declared.type_id):
            if extern.weak and kind == Kind.FUNC:
                return Found()  # a flavour for other kernels
            from skep.object.extern_failure import disagreement

            raise disagreement(extern, kernel_declaration(declared), module)
        return Found(declared.id, module)

    def _hits(self, name: str, kind: Kind) -> list[tuple[str, t.Func | t.Var]]:
        """Find the functions or variables called *name*: the kernel's, else those of modules."""
        from skep.btf.kernel import own_btf

        if self._btf is None:
            self._btf = own_btf()
        own: list[tuple[str, t.Func | t.Var]]
        own = [("", self._btf.type(id_)) for id_ in self._btf.find(name, kind)]  # type: ignore[misc]
        if own:
            return own
        from skep.btf.modules import modules_with

        return [
            (module, btf.type(id_))  # type: ignore[misc]
            for module, btf in modules_with(name, self._btf)
            for id_ in btf.find(name, kind)
            if id_ >= btf.first_id
        ]

    def _symbol(self, extern: ExternSpec) -> Found:
        if self._symbols is None:
            from skep.kernel.kallsyms import symbols

            # All of the object's at once: what takes time is reading the file.
            names = [each.name for each in self.spec.externs.values() if not each.typed]
            self._symbols = symbols(names)
        hits = self._symbols.get(extern.name, [])
        addresses = dict.fromkeys(hit.address for hit in hits)
        if len(addresses) > 1:
            from skep.object.extern_failure import ambiguous

            raise ambiguous(extern, hits)
        if hits:
            return Found(address=hits[0].address)
        if extern.weak:
            return Found()
        from skep.object.extern_failure import missing

        raise missing(extern, None)


def _ld_imm64(code: Code, index: int, source: int, low: int, high: int) -> None:
    instruction = code.at(index)
    instruction.src = source
    instruction.imm = low
    code.put(index, instruction)
    code.set_imm(index + 1, high)


_functions_taken: list[bool] = []


def _takes_functions(found: Found, linker: ExternLinker) -> bool:
    """Whether this kernel gives programs the addresses of its functions; tried once."""
    if not _functions_taken:
        from struct import pack

        where = linker._descriptor(found.module)  # noqa: SLF001  same module
        insns = pack("=BBhiIi", 0x18, PSEUDO_BTF_ID << 4, 0, found.id, 0, where)
        insns += pack("=QQ", 0xB7, 0x95)  # r0 = 0; exit
        try:
            bpf.prog_load(type=ProgramType.SOCKET_FILTER, insns=insns, license="GPL").close()
        except PrivilegeError:
            raise
        except KernelError:
            _functions_taken.append(False)
        else:
            _functions_taken.append(True)
    return _functions_taken[0]
