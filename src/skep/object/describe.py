"""What is in an object, as plain values for JSON: ``skep object show`` and ``section``.

The keys are a promise (docs/commands.md): they keep their names, types and order, and new ones
come last.
"""

from __future__ import annotations

from skep.btf import types as t
from skep.btf.btf import MAX_DEPTH
from skep.btf.spelling import Speller
from skep.kernel.constants import MapType, ProgramType, name_of
from skep.programs.sections import attach_type_name, parse_section

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.btf.btf import Btf
    from skep.maps.spec import MapSpec
    from skep.object.spec import ObjectSpec
    from skep.object.variables import VariableSpec
    from skep.programs.spec import ProgramSpec

_QUALIFIERS = (t.Kind.CONST, t.Kind.VOLATILE, t.Kind.RESTRICT)


def describe(spec: ObjectSpec) -> dict[str, Any]:
    """Return everything in *spec* by name. No kernel is asked.

    Raises `BtfError` when the type of a variable cannot be spelt.
    """
    return {
        "byte_order": spec.byteorder,
        "license": spec.license,
        "programs": [describe_program(program) for program in spec.programs.values()],
        "maps": [describe_map(each) for each in spec.maps.values()],
        "variables": [
            describe_variable(variable, spec.btf)
            for variable in spec.variables.values()
            if spec.btf is not None
        ],
    }


def describe_program(program: ProgramSpec) -> dict[str, Any]:
    """Return one program; `instructions` counts slots of 8 bytes, with all subprograms."""
    return {
        "name": program.name,
        "section": program.section,
        "type": name_of(ProgramType, program.type),
        "attach_type": _attach_type(program),
        "attach_to": program.attach_to,
        "flags": int(program.flags),
        "license": program.license,
        "instructions": len(program.code),
        "core_relocations": len(program.code.core),
    }


def _attach_type(program: ProgramSpec) -> str:
    """Name the attach type; 0 has a name only where the section or the type mean that one."""
    number = program.expected_attach_type
    return attach_type_name(number or program.meaning.attach_type)


def describe_map(spec: MapSpec) -> dict[str, Any]:
    """Return one map as it is declared."""
    return {
        "name": spec.name,
        "type": name_of(MapType, spec.type),
        "key_size": spec.key_size,
        "value_size": spec.value_size,
        "max_entries": spec.max_entries,
        "flags": int(spec.flags),
        "pinning": spec.pinning,
    }


def describe_variable(variable: VariableSpec, btf: Btf) -> dict[str, Any]:
    """Return one variable; `type` is what C calls its type."""
    return {
        "name": variable.name,
        "section": variable.section,
        "offset": variable.offset,
        "size": variable.size,
        "type": spell(btf, variable.type_id),
    }


def describe_section(name: str) -> dict[str, Any]:
    """Return what section *name* means; type "unspec" for a name that means nothing."""
    section = parse_section(name)
    return {
        "section": name,
        "type": name_of(ProgramType, section.type),
        "attach_type": attach_type_name(section.attach_type),
        "attach_to": section.target,
        "flags": int(section.flags),
    }


class _Plain(Speller):
    """Spells types without the attributes that say something to the verifier."""

    def attribute(self, found: t.TypeTag) -> str:
        del found
        return ""


def spell(btf: Btf, type_id: int) -> str:
    """Spell a type as in ``sizeof(...)``: "unsigned int", "struct event", "char[16]".

    The variable's own const and volatile are left out: which section it is in says that.
    Raises `BtfError` when the type refers to itself.
    """
    dimensions = ""
    for _ in range(4 * MAX_DEPTH):
        found = btf.type(type_id)
        if isinstance(found, t.Array):
            dimensions += f"[{found.length}]"
        elif found.kind not in _QUALIFIERS:
            break
        type_id = found.type_id  # type: ignore[attr-defined]
    return _Plain(btf).declare(type_id, dimensions).replace(" [", "[", 1)
