"""`Generic`: base of classes with type parameters, which exist for type checkers only.

``Map[int, str]`` means something to mypy and pyright, and at run time gives the class itself in
another coat. The import of `typing`, which is as long as the load of a small object, is avoided.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Generic
else:

    class Generic:
        """Base of what takes type parameters."""

        __slots__ = ()
        __class_getitem__ = classmethod(type(list[int]))


__all__ = ["Generic"]
