"""The BPF instruction set: programs written in Python, and code as bytes with side tables.

    from skep.asm import R0, R1, R2, assemble, disassemble, jump_if, load, mov, exit_

    program = [
        load(4, R2, R1, 4),
        mov(R0, 2),
        jump_if(R2, "!=", 0, "out"),
        mov(R0, 1),
        "out:",
        exit_(),
    ]

A `skep.ProgramSpec` takes such a list as its *instructions*. The names are those of
`skep.asm.public`, which is imported when the first of them is used: loading an object file needs
none.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.asm.public import *  # noqa: F403
    from skep.asm.public import __all__ as __all__


def __getattr__(name: str) -> object:
    # Modules of this room are asked for here first, before they are imported.
    if name not in ("public", "opcodes"):
        import skep.asm.public as names

        if name == "__all__" or name in names.__all__:
            return getattr(names, name)
    message = f"module 'skep.asm' has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    import skep.asm.public as names

    return sorted(names.__all__)
