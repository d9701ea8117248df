"""A BTF blob, parsed lazily: names, types, sizes and alignments.

Format: Linux `include/uapi/linux/btf.h`. The type section is looked at as 32-bit words in native
order (every field of every record is one), which makes both byte orders the same problem and lets
a name be found with one vectorised search. Records are of varying length, so
numbering them means walking them; the walk goes only as far as a question needs.
"""

from __future__ import annotations

from _thread import allocate_lock

from skep.btf import types as t
from skep.btf.decode import EXTRA, RESERVED, decode, record_words
from skep.btf.header import native, sections
from skep.btf.search import Memory, Words, position
from skep.errors import BtfError, NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _thread import LockType
    from collections.abc import Iterator
    from typing import Any, Self

    from skep.btf.record import Record

# The kernel's limits (BTF_MAX_TYPE, BTF_MAX_NAME_OFFSET in linux/btf.h) keep ids and string
# offsets in a 32-bit word; ours keep hostile input from costing unbounded time.
MAX_DEPTH = 64  # of typedefs and qualifiers in a row, and of nesting; the kernel allows 32
MAX_NAMES = 1 << 22
"""Bytes of all long names of types and members, or four times the blob's if that is more. Names may
be tails of one another, so that a blob of 1 MB can spell 40 000 names of 500 000 bytes each."""
_LONG = 64  # bytes of a name that counts
_MANY = 16  # offsets of a name, from which on all records are looked at, once
MAX_KNOWN = 4096  # answers to keep of one blob
_CHUNK = 1 << 16  # words walked at a time when a type id is asked for


class Btf:
    """The types of one program, module or kernel. Make one with `from_bytes`.

    `name` says where it came from, for messages. `byteorder` is "little" or "big". `base` is the
    blob that a split BTF (a kernel module's) continues: ids and string offsets below the base's
    own ends mean the base's types and strings.

    Safe to share between threads. Everything raises `BtfError` on a malformed blob; a record
    is examined only when it is first needed.
    """

    __slots__ = (
        "_cache",
        "_data",
        "_deduplicated",
        "_first_id",
        "_first_string",
        "_infos",
        "_known",
        "_layouts",
        "_lock",
        "_next",
        "_places",
        "_room",
        "_search",
        "_sizes",
        "_steps",
        "_strings",
        "_words",
        "base",
        "byteorder",
        "codecs",
        "memory",
        "name",
        "parts",
        "records",
        "tags",
        "view_parts",
        "views",
    )

    base: Btf | None
    byteorder: str
    codecs: dict[int, Any]  # of skep.btf.codec, by type id; errors by its complement
    memory: Memory  # the whole blob
    name: str
    parts: int  # members in `codecs`
    records: dict[int, type[Record]]  # classes for values of some structs, from generated modules
    tags: Any  # of skep.btf.tags; None: not looked for yet
    view_parts: int  # members in `views`
    views: dict[tuple[int, Any], Any]  # of skep.btf.codec, by type id and options; some at a time
    _cache: dict[int, t.Type]
    _data: bytes | None
    _deduplicated: bool
    _first_id: int
    _first_string: int
    _infos: list[int]  # of each record found so far, the index of its second word
    _known: dict[tuple[str, int | None], tuple[int, ...]]  # answers of `find`
    _layouts: dict[int, tuple[int, bool]]
    _lock: LockType
    _next: int  # index of the first word not walked yet
    _room: int  # bytes that are left for long names
    _places: dict[int, int]  # by id, as `_infos`, of records that the index knows
    _search: Words
    _sizes: dict[int, int]
    _steps: dict[int, int]  # info word -> words of such a record
    _strings: Memory
    _words: memoryview[int]

    @classmethod
    def from_bytes(
        cls,
        data: bytes | bytearray | memoryview,
        *,
        base: Btf | None = None,
        name: str = "",
        trusted: bool = False,
    ) -> Self:
        """Parse the header and the extent of every record of a BTF blob; raises `BtfError`.

        The bytes are copied. *trusted* is for the kernel's own BTF: records are walked only
        as far as needed, and each name is taken to be one whole string of the string section
        (pahole and libbpf store each string once, and none as the tail of another).
        """
        copy = data if isinstance(data, bytes) else bytes(data)
        return cls.from_memory(Memory.of(copy), copy, base=base, name=name, trusted=trusted)

    @classmethod
    def from_memory(
        cls,
        memory: Memory,
        data: bytes | None = None,
        *,
        base: Btf | None = None,
        name: str = "",
        trusted: bool = False,
    ) -> Self:
        """Parse what lies in *memory* as `from_bytes` does, without copying it.

        *data* are the same bytes, where there is such an object.
        """
        self = cls.__new__(cls)
        self.name = name
        self.base = base
        self.byteorder, types, strings = sections(memory.data, name)
        self.memory = memory
        self._strings = memory.part(*strings)
        self._search = Words(native(memory.part(*types), self.byteorder))
        self._words = words = self._search.words
        self._data = data
        self._first_id = 1 if base is None else len(base)
        self._first_string = 0 if base is None else base.string_end
        if base is not None and base.byteorder != self.byteorder:
            raise BtfError(
                f"{self._what} is {self.byteorder}-endian, but its base {base.name} is not",
                source=name,
            )
        ends = bytes(self._strings.data[:1]), bytes(self._strings.data[-1:])
        if base is None and ends[0] != b"\0":
            raise BtfError(f"{self._what} does not start its strings with an empty one")
        if ends[1] not in (b"", b"\0"):
            raise BtfError(f"{self._what} does not end its last string")
        self._infos = []
        self._next = 0
        self._room = max(MAX_NAMES, 4 * len(memory))
        self._steps = {}
        self._cache = {} if base is not None else {0: t.Void(self, 0, "void")}
        self._known = {}
        self._places = {}
        self._sizes = {}
        self._layouts = {}
        self.codecs = {}
        self.parts = 0
        self.records = {}
        self.tags = None
        self.view_parts = 0
        self.views = {}
        self._deduplicated = trusted
        self._lock = allocate_lock()
        if not trusted:
            self._walk(len(words))
        return self

    # -- the blob -------------------------------------------------------------------------

    @property
    def raw(self) -> bytes:
        """The blob as bytes, in its own byte order, as the kernel takes it."""
        if self._data is None:
            self._data = bytes(self.memory.data)
        return self._data

    @property
    def string_end(self) -> int:
        """The first string offset past this blob's strings, counting its base's."""
        return self._first_string + len(self._strings)

    @property
    def first_id(self) -> int:
        """The first type id that is this blob's own: 1, or the base's length for split BTF."""
        return self._first_id

    @property
    def _what(self) -> str:
        return f"BTF of {self.name}" if self.name else "BTF"

    def __repr__(self) -> str:
        return f"<Btf {self.name or '(unnamed)'}, {self.byteorder}-endian>"

    def __len__(self) -> int:
        """Return the number of types, counting void (id 0) and the base's."""
        self._walk(len(self._words))
        return self._first_id + len(self._infos)

    def __bool__(self) -> bool:
        return True  # not by the length, which has to walk every record

    def string(self, offset: int) -> str:
        """Return the NUL-terminated string at *offset*; raises `BtfError` outside the strings."""
        own = offset - self._first_string
        if own < 0:
            if self.base is None or offset < 0:
                raise BtfError(f"{self._what} has no string at offset {offset}")
            return self.base.string(offset)
        found = self._strings.text(own)
        if found is None:  # the last byte is 0 (checked), so it starts too late
            raise BtfError(
                f"{self._what} refers to a string at offset {offset}, past its"
                f" {len(self._strings)} bytes of strings",
                source=self.name,
                offset=offset,
            )
        return found.decode("utf-8", "surrogateescape")

    def _name(self, offset: int) -> str:
        """Return the string at *offset* for a type, which will keep it."""
        if self._room >= 0:
            text = self.string(offset)
            if len(text) <= _LONG:
                return text
            self._room -= len(text)
            if self._room >= 0:
                return text
        raise BtfError(
            f"{self._what} has names of more than {MAX_NAMES} bytes together",
            source=self.name,
            offset=offset,
        )

    def strings_starting(self, prefix: str) -> list[str]:
        """Return the strings of this blob and its base that start with *prefix*, sorted.

        A search of all strings, some milliseconds in a kernel's BTF: for messages.
        """
        found = set() if self.base is None else set(self.base.strings_starting(prefix))
        strings, needle = self._strings, b"\0" + prefix.encode("utf-8", "surrogateescape")
        at = strings.find(needle)
        while at >= 0 and at + 1 < len(strings):
            name = strings.text(at + 1) or b""
            found.add(name.decode("utf-8", "surrogateescape"))
            at = strings.find(needle, at + 1 + len(name))
        return sorted(found)

    def string_offsets(self, text: str) -> list[int]:
        """Return every offset at which exactly *text* can be read, in the base too."""
        needle = text.encode("utf-8", "surrogateescape") + b"\0"
        inherited = [] if self.base is None else self.base.string_offsets(text)
        return inherited + self._string_offsets(needle)

    # -- types ----------------------------------------------------------------------------

    def type(self, id: int) -> t.Type:
        """Return type number *id*; raises `BtfError` when there is no such type."""
        found = self._cache.get(id)
        if found is not None:
            return found
        index = id - self._first_id
        if index < 0:
            if self.base is None or id < 0:
                raise BtfError(f"{self._what} has no type {id}", source=self.name)
            return self.base.type(id)
        at = self._info_index(index, id) - 1
        made = decode(self, id, self._words, at, self._name)
        return self._cache.setdefault(id, made)

    def types(self) -> Iterator[t.Type]:
        """Yield every type of this blob, in order, without void and without the base's."""
        for id_ in range(self._first_id, len(self)):
            yield self.type(id_)

    def kind_of(self, id: int) -> int:
        """Return the kind number of type *id* without making an object of it."""
        index = id - self._first_id
        if index < 0:
            return 0 if id == 0 else self.type(id).kind
        return self._words[self._info_index(index, id)] >> 24 & 0x1F

    def record_offset(self, id: int) -> int:
        """Return the byte offset in the type section of the record of own type *id*."""
        if id < self._first_id:
            raise BtfError(f"{self._what} has no record of its own for type {id}", source=self.name)
        return 4 * (self._info_index(id - self._first_id, id) - 1)

    def find(self, name: str, kind: int | None = None) -> list[int]:
        """Return the ids of every type called *name* (of that *kind*), in order.

        Names are C's without the `struct`, `union` or `enum`. Costs about 0.1 ms in a kernel's
        BTF; no type is decoded. Split BTF gives the base's hits first.
        """
        known = self._known.get((name, kind))
        if known is not None:
            return list(known)
        needle = name.encode("utf-8", "surrogateescape")
        if not needle or b"\0" in needle:
            return []
        ids = [] if self.base is None else self.base.find(name, kind)
        offsets = self._string_offsets(needle + b"\0")
        if self.base is not None:
            offsets += self.base._string_offsets(needle + b"\0")  # noqa: SLF001  same class
        if len(offsets) > _MANY:
            return ids + self._named(set(offsets), kind)
        own = []
        words = self._words
        end = len(words) - 2
        for offset in offsets:
            for at in self._search.indices(offset):
                if at >= end:
                    break
                # Most hits are members of that name, or other numbers: their next word is
                # a type id or an offset, which has no kind bits, so this rejects them
                # without walking any further.
                info = words[at + 1]
                here = info >> 24 & 0x1F
                if not here or info & RESERVED or (kind is not None and here != kind):
                    continue
                self._walk(at)
                index = position(self._infos, at + 1)
                if index >= 0:
                    own.append(index + self._first_id)
        own.sort()
        if self.base is None and len(self._known) < MAX_KNOWN:
            self._known[name, kind] = tuple(own)
        return ids + own

    def learn(
        self, places: dict[int, int], known: dict[tuple[str, int | None], tuple[int, ...]]
    ) -> bool:
        """Take over what `learned` gave for the same BTF, if every record in it is one.

        Returns whether it was taken over.
        """
        words = self._words
        for at in places.values():
            if not 0 < at < len(words) - 1:
                return False
            kind = words[at] >> 24 & 0x1F
            if not 0 < kind < len(EXTRA) or words[at] & RESERVED:
                return False
        for (name, wanted), ids in known.items():
            for id_ in ids:
                at = places.get(id_, 0)
                if not at or self.string(words[at - 1]) != name:
                    return False
                if wanted not in (None, words[at] >> 24 & 0x1F):
                    return False
        self._places = places
        self._known.update(known)
        return True

    def learned(self) -> tuple[dict[int, int], dict[tuple[str, int | None], tuple[int, ...]]]:
        """Return where the types lie that were looked at, and which names have which ids."""
        known, places = dict(self._known), dict(self._places)  # other threads may add to them
        ids = {id_ for found in known.values() for id_ in found}
        ids.update(places, dict(self._cache))
        ids.discard(0)
        first = self._first_id
        return {id_: self._info_index(id_ - first, id_) for id_ in sorted(ids)}, known

    def _named(self, offsets: set[int], kind: int | None) -> list[int]:
        """Return the own types of that *kind* whose name is at one of *offsets*."""
        self._walk(len(self._words))
        words = self._words
        return [
            index + self._first_id
            for index, at in enumerate(self._infos)
            if words[at - 1] in offsets and (kind is None or words[at] >> 24 & 0x1F == kind)
        ]

    def find_type(self, name: str, kind: int | None = None) -> t.Type:
        """Return the first type called *name* (of that *kind*), a definition if there is one.

        Raises `NotFoundError`.
        """
        ids = self.find(name, kind)
        for id_ in ids:
            if kind is not None or self.kind_of(id_) != t.Kind.FWD:
                return self.type(id_)
        if ids:
            return self.type(ids[0])
        what = "type" if kind is None else t.Kind(kind).name.lower()
        raise NotFoundError(
            f"{self._what} has no {what} called {name!r}", name=name, where=self.name
        )

    # -- layout ---------------------------------------------------------------------------

    def strip(self, id: int) -> t.Type:
        """Return type *id* seen through typedefs, qualifiers and type tags.

        Raises `BtfError` when they go round in a circle.
        """
        found = self.type(id)
        for _ in range(MAX_DEPTH):
            if not isinstance(found, t.Modifier):
                return found
            found = self.type(found.type_id)
        raise BtfError(f"{self._what} has more than {MAX_DEPTH} typedefs in a row at type {id}")

    def size_of(self, id: int) -> int:
        """Return the size in bytes of type *id*.

        Raises `BtfError` for what has no size: void, functions, forward declarations.
        """
        size = self._sizes.get(id)
        if size is None:
            size = self._sizes[id] = self._size_of(id)
        return size

    def _size_of(self, id_: int) -> int:
        count = 1
        found = self.strip(id_)
        for _ in range(MAX_DEPTH):
            if isinstance(found, t.Array):
                count *= found.length
            elif isinstance(found, t.Var):
                pass
            else:
                break
            found = self.strip(found.type_id)
        if isinstance(found, t.Pointer):
            size = 8
        elif isinstance(found, (t.Int, t.Composite, t.Enum, t.Float, t.DataSec)):
            size = found.size
        else:
            raise BtfError(
                f"{self._what}: {found.kind.name.lower()} {found.name!r} (type {id_}) has no size"
            )
        size *= count
        if size >> 32:
            raise BtfError(f"{self._what}: type {id_} claims {size} bytes")
        return size

    def align_of(self, id: int) -> int:
        """Return the alignment in bytes that C gives type *id* on a 64-bit machine.

        A struct whose members or size contradict its natural alignment is packed: 1. BTF does
        not record `__attribute__((aligned))`. Raises `BtfError` like `size_of`.
        """
        return self._align_of(id, MAX_DEPTH)

    def _align_of(self, id_: int, depth: int) -> int:
        if not depth:
            raise BtfError(f"{self._what} nests type {id_} more than {MAX_DEPTH} deep")
        found = self.strip(id_)
        if isinstance(found, (t.Array, t.Var)):
            return self._align_of(found.type_id, depth - 1)
        if isinstance(found, t.Composite):
            return self._layout_of(found, depth)[0]
        size = self.size_of(id_)
        # long double (x86: 16 bytes, or 12 on 32 bits) and __int128 align to 16.
        return size if size in {1, 2, 4, 8, 16} else 4

    def is_packed(self, found: t.Composite) -> bool:
        """Tell whether struct or union *found* can only be written with `packed` in C."""
        return self._layout_of(found, MAX_DEPTH)[1]

    def bit_field_unit(self, member: t.Member) -> int:
        """Return how many bits the declared type of a bit-field has.

        Raises `BtfError` when that is not an integer or enum, or narrower than the field.
        """
        found = self.strip(member.type_id)
        if not isinstance(found, (t.Int, t.Enum)) or member.bit_size > 8 * found.size:
            raise BtfError(
                f"{self._what}: {found.kind.name.lower()} {found.name!r} cannot be the type of"
                f" bit-field {member.name} of {member.bit_size} bits"
            )
        return 8 * found.size

    def _layout_of(self, found: t.Composite, depth: int) -> tuple[int, bool]:
        """Return alignment and packedness of a struct or union."""
        layout = self._layouts.get(found.id)
        if layout is None:
            layout = self._layouts[found.id] = self._find_layout(found, depth)
        return layout

    def _find_layout(self, found: t.Composite, depth: int) -> tuple[int, bool]:
        align = 1
        for member in found.members:
            own = self._align_of(member.type_id, depth - 1)
            if member.bit_size:
                # A bit-field does not cross a boundary of its declared type (System V ABI,
                # which the BPF target follows).
                unit = self.bit_field_unit(member)
                if member.bit_offset % unit + member.bit_size > unit:
                    return 1, True
            elif member.bit_offset % (8 * own):
                return 1, True
            align = max(align, own)
        return (1, True) if found.size % align else (align, False)

    # -- internals ------------------------------------------------------------------------

    def _string_offsets(self, needle: bytes) -> list[int]:
        """Return every string offset at which *needle* (ending in NUL) can be read."""
        strings = self._strings
        if self._deduplicated:
            at = strings.find(b"\0" + needle)
            return [at + 1 + self._first_string] if at >= 0 else []
        found = []
        at = strings.find(needle)
        while at >= 0:
            found.append(at + self._first_string)
            at = strings.find(needle, at + 1)
        return found

    def _info_index(self, index: int, id_: int) -> int:
        """Return where the second word of own record number *index* is."""
        place = self._places.get(id_)
        if place is not None:
            return place
        infos = self._infos
        while True:
            # Asked before the list is looked at: another thread may walk to the end in between.
            whole = self._next >= len(self._words)
            if 0 <= index < len(infos):
                return infos[index]
            if index < 0 or whole:
                raise BtfError(
                    f"{self._what} has no type {id_}, only {self._first_id + len(infos)}",
                    source=self.name,
                )
            self._walk(self._next + _CHUNK)

    def _walk(self, upto: int) -> None:
        """Find every record that starts at or before word *upto*."""
        if self._next > upto or self._next >= len(self._words):
            return
        with self._lock:
            infos = self._infos
            words = self._words
            end = len(words)
            stop = min(upto + 2, end)
            steps = self._steps
            append = infos.append
            i = self._next + 1
            try:
                while True:
                    try:
                        while i < stop:
                            append(i)
                            i += steps[words[i]]
                        break
                    except KeyError:
                        step = steps[words[i]] = record_words(words[i])
                        i += step
            except BtfError as error:
                infos.pop()
                id_ = self._first_id + len(infos)
                message = f"{self._what}: type {id_} {error.message}"
                raise BtfError(message, source=self.name, offset=4 * (i - 1)) from None
            finally:
                self._next = i - 1
            if stop == end:
                if i - 1 != end:
                    if infos and i - 1 > end:
                        infos.pop()
                    self._next = end - 1  # so that asking again fails again
                    raise BtfError(
                        f"{self._what} ends inside its last type record", source=self.name
                    )
                self._steps = {}
