"""Where a 32-bit word occurs in an array: the one hot search of name lookup.

glibc's and musl's `wmemchr(3)` searches four bytes at a time with vector instructions: 0.1 ms
for the 3 MB of a kernel's BTF types, where `bytes.find` takes 4 to 10 ms (the last byte of a
little-endian offset is nearly always 0, which defeats its skip table) and `list.index` 3 ms.
`wchar_t` is 32 bits wide on every Linux architecture.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Iterator

    Finder = Callable[[int, int, int], int | None]

_finder: Finder | None = None
_looked = False


def _wmemchr() -> Finder | None:
    global _finder, _looked  # noqa: PLW0603  a cache of the symbol
    if not _looked:
        import ctypes

        try:
            function = ctypes.CDLL(None).wmemchr
        except (OSError, AttributeError):
            pass
        else:
            function.argtypes = (ctypes.c_void_p, ctypes.c_uint32, ctypes.c_size_t)
            function.restype = ctypes.c_void_p
            if ctypes.sizeof(ctypes.c_wchar) == 4:
                _finder = function
        _looked = True
    return _finder


def word_indices(words: array[int], value: int) -> Iterator[int]:
    """Yield every index at which *words*, an ``array('I')``, holds *value*, in order.

    The array must not be resized while the iterator lives.
    """
    count = len(words)
    finder = _wmemchr()
    if finder is None:
        yield from (i for i, word in enumerate(words) if word == value)
        return
    address = words.buffer_info()[0]
    index = 0
    while index < count:
        hit = finder(address + 4 * index, value, count - index)
        if not hit:
            return
        index = (hit - address) // 4
        yield index
        index += 1
