"""`OneByOne`: many keys and values for maps that take them one by one, or why that cannot be."""

from __future__ import annotations

from skep.errors import MissingKeyError, TypeMismatchError
from skep.generic import Generic, K, V
from skep.maps.map import Map

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

_END: Any = object()


class OneByOne(Map[K, V], Generic[K, V]):
    """Base of the maps for which the kernel has no batches: many keys are many calls."""

    __slots__ = ()

    def update(self, keys: Any, values: Any = None, *, flags: int = 0, lock: bool = False) -> None:
        """Store many entries, key by key: two iterables of the same length, or one mapping."""
        for key, value in pairs(self.name, keys, values):
            self.store(key, value, flags=flags, lock=lock)

    def delete(self, keys: Iterable[Any]) -> int:
        """Remove many keys, key by key, those that have a value; return how many did."""
        removed = 0
        for key in each(self.name, "keys", keys):
            try:
                del self[key]
            except MissingKeyError:
                continue
            removed += 1
        return removed


def each(map: str, what: str, column: Any) -> Iterator[Any]:
    """Iterate over the Python objects of a column or iterable of *what* ("keys" or "values").

    Raises `TypeMismatchError`, naming the map, at once when it is neither.
    """
    try:
        return iter(column.tolist() if hasattr(column, "tolist") else column)
    except TypeError:
        from skep.maps.failure import not_a_column

        raise not_a_column(map, what, column) from None


def pairs(map: str, keys: Any, values: Any) -> Iterator[tuple[Any, Any]]:
    """Iterate over (key, value) of two columns, or of a mapping when *values* is None.

    Raises `TypeMismatchError` when they are something else, at once, or of different lengths: at
    once where these are known, else after the last pair.
    """
    if values is None:
        if not hasattr(keys, "keys"):
            from skep.maps.failure import not_a_mapping

            raise not_a_mapping(map, keys)
        keys, values = list(keys.keys()), list(keys.values())
    keys = keys.tolist() if hasattr(keys, "tolist") else keys
    values = values.tolist() if hasattr(values, "tolist") else values
    all_keys, all_values = each(map, "keys", keys), each(map, "values", values)
    if hasattr(keys, "__len__") and hasattr(values, "__len__") and len(keys) != len(values):
        raise _unequal(map, str(len(keys)), str(len(values)))
    return _together(map, all_keys, all_values)


def _together(map: str, keys: Iterator[Any], values: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
    count = 0
    for key in keys:
        value = next(values, _END)
        if value is _END:
            raise _unequal(map, f"more than {count}", str(count))
        yield key, value
        count += 1
    if next(values, _END) is not _END:
        raise _unequal(map, str(count), f"more than {count}")


def _unequal(map: str, keys: str, values: str) -> TypeMismatchError:
    return TypeMismatchError(
        f"map {map!r}: {keys} keys and {values} values do not belong together",
        expected=f"{keys} values",
        given=values,
        map=map,
    )
