"""`Column`: the memory of one column, as the Arrow columnar format lays it out."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    import numpy as np

    Bytes = np.ndarray[Any, Any]


class Column:
    """*length* values in contiguous NumPy arrays; what a `skep.arrow.fields.Field` makes.

    *buffers* are those of the format without the first, which says what is null: nothing is.
    *children* are the columns inside a struct or list, *dictionary* the values that indices mean.
    """

    __slots__ = ("buffers", "children", "dictionary", "length")

    def __init__(
        self,
        length: int,
        buffers: Sequence[Bytes] = (),
        children: Sequence[Column] = (),
        dictionary: Column | None = None,
    ) -> None:
        self.length = length
        self.buffers = tuple(buffers)
        self.children = tuple(children)
        self.dictionary = dictionary

    @property
    def nbytes(self) -> int:
        """Bytes of all buffers."""
        inner = sum(child.nbytes for child in self.children)
        if self.dictionary is not None:
            inner += self.dictionary.nbytes
        return inner + sum(int(buffer.nbytes) for buffer in self.buffers)
