"""A spec as plain values that can be compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import skep

if TYPE_CHECKING:
    from pathlib import Path


def described(path: Path) -> dict[str, Any]:
    """Return all of a spec but its code: names, types, sizes, and how many relocations."""
    spec = skep.ObjectSpec.from_file(path)
    return {
        "byte order": spec.byteorder,
        "license": spec.license,
        "version": spec.kernel_version,
        "programs": {name: _program(each) for name, each in spec.programs.items()},
        "maps": {name: _map(each) for name, each in spec.maps.items()},
        "variables": {name: _variable(each) for name, each in spec.variables.items()},
    }


def _program(spec: skep.ProgramSpec) -> dict[str, Any]:
    code = spec.code
    return {
        "section": spec.section,
        "type": spec.type,
        "attach type": spec.expected_attach_type,
        "target": spec.attach_to,
        "flags": spec.flags,
        "autoload": spec.autoload,
        "references": sorted((each.kind, each.name, each.offset) for each in code.references),
        "core": sorted({(each.type_id, each.access, each.kind) for each in code.core}),
        "functions": len(code.functions),
    }


def _map(spec: skep.MapSpec) -> dict[str, Any]:
    names = ("type", "key_size", "value_size", "max_entries", "flags", "extra", "pinning")
    found: dict[str, Any] = {name: getattr(spec, name) for name in names}
    found["initial"] = spec.initial
    found["inner"] = None if spec.inner is None else _map(spec.inner)
    return found


def _variable(spec: Any) -> tuple[str, int, int]:
    return spec.section, spec.offset, spec.size
