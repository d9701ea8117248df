"""Structs of operations of an object that is loaded: which program implements what."""

from __future__ import annotations

from skep.errors import NotFoundError, RelocationError
from skep.kernel.constants import ProgramType
from skep.maps.struct_ops import StructOpsSpec
from skep.object.struct_ops_layout import Operations, fit
from skep.programs.targets import TypeTarget

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from skep.btf.btf import Btf
    from skep.maps.spec import MapSpec
    from skep.object.spec import ObjectSpec
    from skep.programs.spec import ProgramSpec


class AllOperations:
    """The structs of operations of one object, by name, while it is loaded."""

    __slots__ = ("by_name",)

    def __init__(self, specs: Iterable[StructOpsSpec], kernel: Btf | None) -> None:
        self.by_name: dict[str, Operations] = {}
        try:
            for spec in specs:
                assert kernel is not None
                self.by_name[spec.name] = fit(spec, kernel)
        except BaseException:
            self.close()
            raise

    def absent(self) -> set[str]:
        """Return the programs that are only for members that this kernel does not have."""
        used = {name for each in self.by_name.values() for name, _ in each.members}
        absent = {name for each in self.by_name.values() for name in each.absent}
        return absent - used

    def target(self, program: ProgramSpec) -> TypeTarget:
        """Return which member of which struct *program* implements.

        Raises `RelocationError` when it is in no struct, or in two different places.
        """
        found: dict[tuple[str, int], Operations] = {}
        for each in self.by_name.values():
            for name, member in each.members:
                if name == program.name:
                    found.setdefault((each.struct.name, member), each)
        where = f"program {program.name!r} (section {program.section!r})"
        if not found:
            raise RelocationError(
                f"{where} is in no struct of operations, so the kernel cannot tell what it is for",
                hint="point a member of a variable in .struct_ops to it, or leave it out:"
                f" spec.programs[{program.name!r}].autoload = False",
                program=program.name,
                section=program.section,
                reason="no struct of operations has it",
            )
        if len(found) > 1:
            places = " and ".join(
                f"{each.struct.members[member].name} of struct {struct}"
                for (struct, member), each in found.items()
            )
            raise RelocationError(
                f"{where} is used as {places}, and a program can be only one of them",
                hint="make a second program that calls the same function",
                program=program.name,
                section=program.section,
                reason="used in two places",
            )
        ((_, member), each) = next(iter(found.items()))
        return TypeTarget(each.struct.id, module=each.module, member=member)

    def close(self) -> None:
        """Close the descriptors of modules' BTF. Idempotent."""
        for each in self.by_name.values():
            each.close()


def prepare(spec: ObjectSpec, programs: Iterable[ProgramSpec]) -> AllOperations:
    """Fit the structs of operations of *spec* that are created, and those *programs* implement.

    The kernel's own BTF is used, whatever file CO-RE relocations are resolved against: its ids are
    told to the kernel. Raises `NoBtfError`, and what `fit` does.
    """
    from skep.btf.kernel import own_btf

    names = {each.name for each in programs if each.type == ProgramType.STRUCT_OPS}
    needed = []
    for each in spec.maps.values():
        if not isinstance(each, StructOpsSpec):
            continue
        for at, name in each.initial:
            if name not in spec.programs:
                raise NotFoundError(
                    f"map {each.name!r}: byte {at} of struct {each.struct.name} is set to"
                    f" {name!r}, which is no program of {spec.name}",
                    hint=f"the programs are {', '.join(spec.programs)}",
                    name=name,
                    where=each.name,
                )
        if each.autocreate or any(name in names for _, name in each.initial):
            needed.append(each)
    return AllOperations(needed, own_btf())


def target_of(program: ProgramSpec, operations: AllOperations | None) -> TypeTarget:
    """Return what the struct_ops program *program* implements; see `AllOperations.target`."""
    if operations is None:
        operations = AllOperations((), None)
    return operations.target(program)


def left_out(maps: Mapping[str, MapSpec], program: ProgramSpec) -> bool:
    """Whether *program* is only in structs of operations that are not created."""
    users = [
        spec
        for spec in maps.values()
        if isinstance(spec, StructOpsSpec) and any(name == program.name for _, name in spec.initial)
    ]
    return bool(users) and not any(spec.autocreate for spec in users)
