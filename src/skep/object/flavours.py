"""Names of types with the flavour taken off: `task_struct___old` means `task_struct`.

A CO-RE program may declare several local versions of one kernel type under names that differ
after three underscores; the kernel's type has the part before them.
"""

from __future__ import annotations


def essential_name(name: str) -> str:
    """Return *name* up to its last ``___`` that stands between other characters."""
    at = name.rfind("___")
    while at > 0:
        # Exactly three: "a____b" has no flavour.
        if name[at - 1] != "_" and name[at + 3 : at + 4] not in ("", "_"):
            return name[:at]
        at = name.rfind("___", 0, at + 2)
    return name
