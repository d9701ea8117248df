"""What a link needs of a program, so that anything with a loaded program can be attached."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from skep.kernel.fd import FD
else:
    Protocol = object


class Attachable(Protocol):
    """A loaded program: `skep.programs.Program`, or anything with these attributes.

    `type` and `expected_attach_type` are the kernel's numbers, `section` and `attach_to` the
    ELF section's name and the target in it.
    """

    @property
    def fd(self) -> FD:
        """The program's descriptor."""

    @property
    def name(self) -> str:
        """The name to use in messages."""

    @property
    def section(self) -> str:
        """The name of its ELF section, or nothing."""

    @property
    def type(self) -> int:
        """A ProgramType."""

    @property
    def expected_attach_type(self) -> int:
        """An AttachType."""

    @property
    def attach_to(self) -> str:
        """What a tracing program was loaded for."""
