"""Memory shared with the kernel: mappings, and ordered loads and stores on them.

Memory ordering
---------------
A ring buffer is two parties and no lock: the kernel writes a record and then publishes a
position; the reader loads the position and only then the record. Each side relies on its two
accesses being seen in that order.

* The accesses themselves are aligned and done by ctypes in one machine instruction (the getter
  and setter of c_uint64 copy 8 bytes of known size), so no value is ever torn. `struct` and
  `int.to_bytes` store byte by byte and must not be used on shared memory. The C compiler cannot
  reorder them: each is an opaque call for the interpreter loop.
* x86-64 (TSO) never reorders a load with an earlier load, nor a store with an earlier load or
  store. A plain load already acquires and a plain store already releases: nothing to add.
* arm64 reorders all of these, and Python has no barrier instruction. `fence()` builds one from a
  lock: *releasing* a lock is a store-release, *acquiring* it a load-acquire, and the Armv8 model
  orders everything before a store-release, the store-release itself, a later load-acquire, and
  everything after that one (barrier-ordered-before: ``po;[L]``, ``[L];po;[A]``, ``[A];po``). So
  release-then-acquire is a full barrier. Acquire-then-release, the order of a ``with`` block, is
  not: accesses from both sides may move into the critical section and pass each other there.
  membarrier(2) is none either: the kernel skips it for a process with one thread.
* A store followed by a load of *another* place (publish the position, then look whether more has
  come) may be reordered on both machines; only `fence()` orders it, and it is real on both.
"""

from __future__ import annotations

from _thread import allocate_lock
from _weakref import ref

from skep.errors import ClosedError, RangeError
from skep.kernel.native import c_char, c_uint32, c_uint64
from skep.kernel.syscall import checked, machine, page_size, syscall
from skep.owner import Owner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.kernel.fd import FD

_PROT_READ = 1
_PROT_WRITE = 2
_MAP_FIXED_NOREPLACE = 0x100000
_MAP_SHARED = 1
_MAP_PRIVATE = 2

_u64_at = c_uint64.from_address
_u32_at = c_uint32.from_address


def fence() -> None:
    """Order every memory access before the call against every one after it (full barrier).

    0.2 us; see the module's text for why this is one. Any thread may call it, also a signal
    handler: the lock belongs to the call.
    """
    lock = allocate_lock()
    lock.acquire()
    lock.release()
    lock.acquire()
    lock.release()


# TSO, or a barrier after a load and before a store. Machines that are neither take the barrier.
_ORDERED = machine in ("x86_64", "AMD64")

if _ORDERED:

    def load_u64(address: int) -> int:
        """Load-acquire 8 aligned bytes: nothing after it is read before it."""
        return _u64_at(address).value

    def load_u32(address: int) -> int:
        """Load-acquire 4 aligned bytes."""
        return _u32_at(address).value

    def store_u64(address: int, value: int) -> None:
        """Store-release 8 aligned bytes: everything before it is done before it is seen."""
        _u64_at(address).value = value

    def store_u32(address: int, value: int) -> None:
        """Store-release 4 aligned bytes."""
        _u32_at(address).value = value

else:

    def load_u64(address: int) -> int:
        """Load-acquire 8 aligned bytes: nothing after it is read before it."""
        value = _u64_at(address).value
        fence()
        return value

    def load_u32(address: int) -> int:
        """Load-acquire 4 aligned bytes."""
        value = _u32_at(address).value
        fence()
        return value

    def store_u64(address: int, value: int) -> None:
        """Store-release 8 aligned bytes: everything before it is done before it is seen."""
        fence()
        _u64_at(address).value = value

    def store_u32(address: int, value: int) -> None:
        """Store-release 4 aligned bytes."""
        fence()
        _u32_at(address).value = value


# By address. A weak reference calls back only while somebody holds it.
_waiting: dict[int, ref[Any]] = {}


def _unmap_with(pages: Any, address: int, length: int) -> None:
    """Unmap when *pages*, the object every view of them holds, is gone."""

    def unmap(_: ref[Any]) -> None:
        del _waiting[address]  # before the address can be given out again
        syscall("munmap", address, length)

    _waiting[address] = ref(pages, unmap)


class Mapping(Owner):
    """Owns shared pages of a file (a map, a ring, a perf event), mapped by mmap(2).

    *offset* is a multiple of the page size, *length* is bytes, rounded up by the kernel to whole
    pages; `KernelError` when the kernel refuses. *private* is for files that the kernel maps only
    so (BTF). *address* is where it must be, 0 for anywhere (`KernelError` EEXIST when something is
    there). Unlike the `mmap` module this neither duplicates the descriptor nor asks for its size
    (a map's file says 0), and *fd* may be closed afterwards.

    `close()` is safe with views still alive: the pages are unmapped when the last view of them
    is gone, so a forgotten NumPy array reads old data instead of crashing the process. Bare
    addresses have no such protection: do not use `address` after `close()`.
    """

    __slots__ = ("__weakref__", "_address", "_pages", "_view", "length", "what")

    def __init__(
        self,
        fd: FD,
        length: int,
        *,
        offset: int = 0,
        writable: bool = False,
        private: bool = False,
        address: int = 0,
        what: str = "",
    ) -> None:
        self._view: memoryview | None = None
        self.what = what or f"mapping of {fd.what}"
        if length <= 0 or offset < 0 or offset % page_size:
            message = f"{self.what}: {length} bytes at {offset} cannot be mapped"
            hint = f"the offset must be a multiple of {page_size}"
            raise RangeError(message, hint=hint)
        self.length = length
        self._address = checked(
            "mmap",
            address,
            length,
            _PROT_READ | (_PROT_WRITE if writable else 0),
            (_MAP_PRIVATE if private else _MAP_SHARED) | (_MAP_FIXED_NOREPLACE if address else 0),
            fd.fileno(),
            offset,
            what=f"mapping {length} bytes of {fd.what}",
        )
        pages = (c_char * length).from_address(self._address)
        _unmap_with(pages, self._address, length)
        view = memoryview(pages).cast("B")
        self._view = view if writable else view.toreadonly()

    @property
    def address(self) -> int:
        """Address of the first byte, page aligned."""
        if self._view is None:
            raise ClosedError(f"{self.what} is closed")
        return self._address

    @property
    def view(self) -> memoryview:
        """The bytes; read-only unless mapped writable. Works with `np.frombuffer`."""
        view = self._view  # once: another thread may close it between two looks
        if view is None:
            raise ClosedError(f"{self.what} is closed")
        return view

    @property
    def closed(self) -> bool:
        """Whether `close()` was called."""
        return self._view is None

    def close(self) -> None:
        """Let go of the pages; a second call does nothing."""
        self._view = None

    def _held(self) -> str:
        return self.what

    def __repr__(self) -> str:
        state = "closed" if self._view is None else f"{self.length} bytes"
        return f"<Mapping {state}: {self.what}>"
