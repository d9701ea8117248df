"""`Generic`: base of classes with type parameters, which exist for type checkers only.

``Map[int, str]`` means something to mypy and pyright, and at run time gives the class itself in
another coat. The import of `typing`, which is as long as the load of a small object, is avoided.

`K` stands for the keys of a map and `V` for its values. Left out, both are `Any`: ``Map`` alone is
a fine annotation.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Generic

    from typing_extensions import TypeVar

    K = TypeVar("K", default=Any)
    V = TypeVar("V", default=Any)
else:
    K = V = None

    class Generic:
        """Base of what takes type parameters."""

        __slots__ = ()
        __class_getitem__ = classmethod(type(list[int]))


__all__ = ["Generic", "K", "V"]
