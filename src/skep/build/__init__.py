"""From a BPF C source to an object: finds a compiler, runs it, strips the result.

`compile` is the whole interface. Needs no kernel and no privilege.
"""

from __future__ import annotations

from skep.build.compiler import compile  # noqa: A004 - the word for it, as in `re.compile`

__all__ = ["compile"]
