"""Element calls with buffers built once, for loops over single keys."""

from __future__ import annotations

import ctypes
from errno import ENOENT

from skep.errors import RangeError
from skep.kernel.bpf.call import NR, bpf, bpf_keeping_gil, failure
from skep.kernel.bpf.maps import _LOOKUP, _UPDATE, _element_attr
from skep.kernel.native import from_buffer, get_errno

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.kernel.fd import FD


class Element:
    """A key and a value buffer bound to a map: calls for little more than the system call.

    *value_size* is the kernel's (per-CPU: rounded up to 8, times the possible CPUs); `value` is
    a bytearray of that size which calls fill and read in place. `map_lookup` costs 1.25 system
    calls, `lookup` 1.06. Holds no descriptor: it lives as long as its users like, and raises
    `ClosedError` once *fd* is closed. Not thread safe: one Element per thread, or take them from
    a list with pop() and append(), which are atomic.
    """

    __slots__ = ("_address", "_attr", "_fd", "_key", "_key_size", "value")

    value: bytearray

    def __init__(self, fd: FD, key_size: int, value_size: int) -> None:
        if key_size <= 0 or value_size <= 0:
            raise RangeError(f"{fd.what} has no elements of {key_size} and {value_size} bytes")
        self._fd = fd
        self._key = ctypes.create_string_buffer(key_size)
        self._key_size = key_size
        self.value = bytearray(value_size)
        key_address = ctypes.addressof(self._key)
        value_address = ctypes.addressof(from_buffer(self.value))
        attr = _element_attr(fd.fileno(), 0, key_address, value_address, 0)
        self._attr = ctypes.create_string_buffer(attr, len(attr))
        self._address = ctypes.addressof(self._attr)

    def _set_key(self, key: bytes) -> None:
        if len(key) != self._key_size:
            message = f"a key of {self._fd.what} is {self._key_size} bytes, not {len(key)}"
            raise RangeError(message)
        self._key.raw = key

    def lookup(self, key: bytes) -> bool:
        """Copy the value of *key* into `value`; False (and `value` as it was) when absent."""
        if len(key) != self._key_size:
            self._set_key(key)
        self._key.raw = key
        self._fd.fileno()  # the number in the attribute may be somebody else's by now
        if bpf_keeping_gil(NR, _LOOKUP, self._address, 32) == 0:
            return True
        if get_errno() == ENOENT:
            return False
        raise failure(_LOOKUP, self._fd)

    def update(self, key: bytes) -> None:
        """Store `value` under *key* (BPF_ANY); errors as `map_update`."""
        self._set_key(key)
        self._fd.fileno()
        if bpf(NR, _UPDATE, self._address, 32) != 0:
            raise failure(_UPDATE, self._fd)
