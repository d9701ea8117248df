"""`LiveMap`: what every live map has, whatever is in it: identity, lifetime, memory, streams."""

from __future__ import annotations

import os
from _thread import RLock

from skep.errors import UnsupportedError
from skep.kernel import bpf
from skep.kernel.constants import MapType
from skep.kernel.fd import FD
from skep.maps import kinds
from skep.owner import Owner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self

    from skep.kernel.bpf.info import MapInfo
    from skep.kernel.memory import Mapping
    from skep.maps.cells import Cells
    from skep.maps.spec import MapSpec
    from skep.streams.ringbuf import RingBuffer

lock = RLock()
"""Held for moments: while a map is mapped, while its stream is opened, while it gives both up."""

# A child that is forked at such a moment of another thread could close no map.
os.register_at_fork(after_in_child=lock._at_fork_reinit)  # type: ignore[attr-defined]  # noqa: SLF001


class LiveMap(Owner):
    """A live map of the kernel; owns its descriptor. `Map` adds what is in it.

    `spec` is its shape: type, sizes, entries, flags, and the BTF types of key and value. `cells`
    are the codecs of keys and values, made when they are first needed.
    """

    __slots__ = (
        "__weakref__",
        "_fd",
        "_frozen",
        "_ledger",
        "_memory",
        "_parent",
        "_streams",
        "cells",
        "quick",
        "spec",
    )

    if TYPE_CHECKING:
        cells: Cells
        quick: tuple[Callable[[Any], bytes], Callable[[Any], Any], int]

    def __init__(self, fd: FD, spec: MapSpec) -> None:
        self._fd = fd
        self.spec = spec
        self._frozen = spec.frozen and spec.contents is not None
        self._memory: Mapping | None = None
        self._ledger: Callable[[], tuple[int, int]] | None = None
        self._parent: LiveMap | None = None
        self._streams: list[Any] = []  # a ring's reader or producer

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            # The two slots that are empty until they are needed. A property would make every
            # lookup 3 % slower.
            if name == "cells":
                cells = self.cells = self._make_cells()
                return cells
            if name == "quick":
                cells = self.cells
                quick = self.quick = (cells.key.pack, cells.value.unpack, cells.value.size)
                return quick
            message = f"{type(self).__name__!r} object has no attribute {name!r}"
            raise AttributeError(message, name=name, obj=self)

    def _make_cells(self) -> Cells:
        """Make the codecs of keys and values, once; what a class for other maps overrides."""
        if self.spec.type in kinds.KEYLESS:
            from skep.maps.failure import keyless

            raise keyless(self._what(), self.spec.type)
        from skep.maps.cells import Cells  # not for loading

        return Cells(self.spec)

    def viewed(self, cells: Cells) -> Self:
        """Return a view of this map that has *cells* of its own: what `Map.bind` makes.

        It shares the descriptor and the memory, and is closed with this map. Closing it first
        leaves this map open.
        """
        view = type(self)(self._fd, self.spec)
        view.cells = cells
        view._ledger = self._ledger  # noqa: SLF001 - of the same class
        view._parent = self._parent or self  # noqa: SLF001
        return view

    # Opening

    @classmethod
    def from_pin(cls, path: str, *, expect: MapSpec | None = None, flags: int = 0) -> Self:
        """Open the map pinned at *path*, typed by the BTF it was created with.

        Reading that needs CAP_SYS_ADMIN; without, keys and values are `bytes`, and
        `spec.untyped` says why.

        *expect* is what it must be: `LoadError` lists every difference, in type, sizes, entries,
        flags and in the layout of keys and values. The map is then typed by *expect*. With *flags*
        `MapFlags.RDONLY` this process may only read it, with WRONLY only write.

        Raises `KernelError`: ENOENT with the close names when there is no such pin.
        """
        from skep.maps import pins

        return pins.opened(cls, path, expect, flags)

    @classmethod
    def from_id(cls, id: int, *, flags: int = 0) -> Self:
        """Open the map of the system that has this *id*, typed by the BTF it was created with.

        *flags* as for `from_pin`. Needs CAP_SYS_ADMIN (`PrivilegeError`); `KernelError` ENOENT
        when there is no such map, or no longer.
        """
        from skep.maps import pins

        return pins.by_id(cls, id, flags)

    @classmethod
    def from_fd(cls, fd: FD) -> Self:
        """Take over *fd*, asking the kernel for the map's shape and types.

        The result has the class for its type: a `Queue` for a queue. Called on a class that is
        not `Map`, it must be that class: `TypeMismatchError` otherwise. *fd* is closed when it
        cannot be taken over.
        """
        from skep.maps import pins

        return pins.taken_over(cls, fd)

    # Identity

    @property
    def name(self) -> str:
        """The name in the object file; the kernel keeps its first 15 characters."""
        return self.spec.name

    @property
    def type(self) -> MapType:
        """The map type."""
        return MapType(self.spec.type)

    @property
    def fd(self) -> FD:
        """The descriptor, owned by this map."""
        return self._fd

    @property
    def info(self) -> MapInfo:
        """What the kernel says about the map now (BPF_OBJ_GET_INFO_BY_FD)."""
        return bpf.map_info(self._fd)

    @property
    def id(self) -> int:
        """The system-wide id; a number that may be given to another map once this one is gone."""
        return self.info.id

    def __bool__(self) -> bool:
        """Return True: also an empty map is one."""
        return True

    def __repr__(self) -> str:
        state = " (closed)" if self.closed else ""
        return f"<{type(self).__name__} {self.name!r} {kinds.type_name(self.spec.type)}{state}>"

    # Lifetime

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._fd.closed

    def fileno(self) -> int:
        """Return the descriptor's number, or raise `ClosedError`."""
        return self._fd.fileno()

    def close(self) -> None:
        """Close the map, its memory and its streams. The kernel frees it when nobody uses it.

        Safe while other threads use the map: what they have begun ends with the right result or
        with `ClosedError`, and never meets another file (`FD.retire`).
        """
        with lock:
            fd, memory, streams = self._fd, self._memory, self._streams
            self._fd, self._memory, self._streams = FD.none(fd.what), None, []
        if self._parent is not None:
            return
        try:
            for stream in streams:
                stream.close()
            if memory is not None:
                memory.close()
        finally:
            fd.retire()

    def _held(self) -> str:
        return self._what()

    def _place(self) -> str:
        where = self._fd.opened_at
        return f"; it was opened at {where}" if where else ""

    def __del__(self) -> None:
        if self._parent is None:  # a view owns nothing
            super().__del__()

    def pin(self, path: str) -> None:
        """Give the map a name in a bpf file system; it then outlives this process.

        Raises `KernelError` saying what is in the way: something of that name, no such folder,
        a folder that is on no bpf file system.
        """
        from skep.maps import pins

        pins.pin(self, path)

    def unpin(self, path: str) -> None:
        """Remove the pin *path* of this map; the map itself lives on while somebody uses it.

        Raises `NotFoundError` when there is no such pin, or when it is one of another object.
        """
        from skep.maps import pins

        pins.unpin(self, path)

    @property
    def frozen(self) -> bool:
        """Whether user space may no longer write, as `freeze` makes it, here or elsewhere."""
        if not self._frozen:
            from skep.kernel import descriptors

            self._frozen = descriptors.facts(self._fd).get("frozen") == "1"
        return self._frozen

    def freeze(self) -> None:
        """Make the map read-only for user space, for good; its programs may still write.

        `MapError` when it is frozen already, may not be written by this process, or is mapped
        writable by somebody (`memory`): the pages of this map itself are given up first.
        """
        from skep.maps import memory

        memory.freeze(self)

    # Streams

    def bind_ledger(self, reader: Callable[[], tuple[int, int]]) -> None:
        """Tell the streams of this map where its BPF side counts (produced, lost) records."""
        self._ledger = reader

    def stream(self, *, record: str = "", **options: Any) -> RingBuffer:
        """Open the reader of this ring buffer; see `RingBuffer` for the *options*.

        The records have the type that the map declares, or the struct called *record* in the
        object's BTF (`NotFoundError` when there is none). The map owns the reader and closes it
        with itself; closing it earlier is fine. A ring buffer has one consumer position, so
        there is one open reader at a time (`SkepError`).
        """
        if self.spec.type != MapType.RINGBUF:
            message = f"{self._what()} is not a ring buffer: it has no stream"
            hint = "read it as columns with read()"
            raise UnsupportedError(message, hint=hint, feature="stream")
        if self._parent is not None:
            return self._parent.stream(record=record, **options)
        from skep.maps import ring

        return ring.reader(self, record, options)

    # Memory and initial contents, for the loader and the rest of this room

    @property
    def contents_at(self) -> int:
        """At which byte the contents begin: 0, but in an arena they are its last pages.

        So that the first page, and with it the null pointer, stays free.
        """
        if self.spec.type != MapType.ARENA or self.spec.contents is None:
            return 0
        from skep.maps.types import arena

        return arena.contents_at(self.spec)

    def memory(self) -> Mapping | None:
        """Return the values of an array as shared memory, or None where that is not possible.

        Possible for an ARRAY created with MMAPABLE; elements are rounded up to 8 bytes
        (``array_map_mmap``). Writable unless the map is frozen, or was opened or created RDONLY.
        Owned by the map. `ClosedError` when the map is closed.

        For an ARENA it is the whole region, at the address that pointers in it have. A page comes
        into being when it is first touched, or ends the process with SIGSEGV when the arena was
        made with SEGV_ON_FAULT.
        """
        found = self._memory
        if found is None:
            from skep.maps import memory

            found = memory.shared(self)
        return found

    def write_contents(self, data: bytes) -> None:
        """Store the initial value of a data section."""
        if self.spec.type == MapType.ARENA:
            from skep.maps.types import arena

            arena.store(self, data)  # type: ignore[arg-type]
            return
        bpf.map_update(self._fd, bytes(4), data)

    def _what(self) -> str:
        return f"map {self.name!r} ({kinds.type_name(self.spec.type)})"
