"""The type parameters of maps, `K` of keys and `V` of values; see `skep.generic`.

Left out, both are `Any`: ``Map`` alone is a fine annotation.
"""

from __future__ import annotations

from skep.generic import Generic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from typing_extensions import TypeVar

    K = TypeVar("K", default=Any)
    V = TypeVar("V", default=Any)
else:
    K = V = None

__all__ = ["Generic", "K", "V"]
