"""Typed Python modules made from BPF objects: ``skep gen prog.bpf.o -o prog.py``.

`generate` writes the text of such a module, `check` says whether one is what its object gives, and
what the modules import when they are used is in `skep.bindings.module`. Importing this package
costs nothing, as every generated module does.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.bindings.write import generate as generate

__all__ = ["generate"]


def __getattr__(name: str) -> object:
    if name != "generate":
        message = f"module 'skep.bindings' has no attribute {name!r}"
        raise AttributeError(message)
    from skep.bindings.write import generate

    globals()[name] = generate
    return generate
