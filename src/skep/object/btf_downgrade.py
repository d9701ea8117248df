"""An object's BTF for kernels that do not know all of it: step by step less, as old as needed.

Every type keeps its id and the length of its record, so that all that refers to types and strings
(functions, lines, map definitions) stays valid. What takes a kind's place has its size, and is
never looked into: a struct without members for a float, a union for a 64-bit enum.

Which release knows what is told at each step; the kernel's checks are in kernel/bpf/btf.c.
"""

from __future__ import annotations

from skep.btf import types as t
from skep.btf.types import Kind
from skep.object.btf_layout import Editor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from skep.btf.btf import Btf

STEPS = (
    "names",  # no kernel takes them: names that are no C identifiers, as Rust's are
    "attributes",  # 6.15: tags with kind_flag, which stand for other attributes
    "enum64",  # 6.0: 64-bit enums, and kind_flag of an enum, which says that it is signed
    "type_tag",  # 5.17
    "decl_tag",  # 5.16
    "float",  # 5.13
    "global_func",  # 5.6: linkage of functions
    "datasec",  # 5.2: data sections and variables
    "func",  # 5.0: functions and their prototypes
)
"""What a kernel may lack, in the order in which kernels came to know it, newest first."""

_FLAG = 1 << 31
_MUST_HAVE_NAME = (t.Typedef, t.Func, t.Var, t.Forward)


def downgrades(btf: Btf) -> Iterator[bytes]:
    """Yield *btf* as ever older kernels take it, leaving out what changes nothing."""
    editor = _Downgrade(btf)
    for step in STEPS:
        editor.changed = False
        getattr(editor, step)()
        if editor.changed:
            yield bytes(editor.data)


def downgraded(btf: Btf) -> bytes | None:
    """Return the blob as the oldest kernels take it, None when it is already so."""
    last = None
    for last in downgrades(btf):  # noqa: B007
        pass
    return last


class _Downgrade(Editor):
    """The blob in the making. Each method takes one thing out; they are called in order."""

    def __init__(self, btf: Btf) -> None:
        super().__init__(btf)
        self._strings: dict[str, int] = {}
        integers = [found for found in btf.types() if isinstance(found, t.Int)]
        # The smallest integer type fits in any 64-bit enum.
        self._small = min(integers, key=lambda found: found.size).id if integers else 0

    def of(self, *kinds: type[t.Type]) -> Iterator[tuple[t.Type, int]]:
        """Yield every type of these kinds as it was at first, and where its record is."""
        for found in self.btf.types():
            if isinstance(found, kinds):
                yield found, self.place(found.id)

    def string(self, text: str) -> int:
        """Return the offset of a string, appended to the strings where it is new."""
        offset = self._strings.get(text)
        if offset is None:
            header, start, offset = self.get(4), self.get(16), self.get(20)
            if header + start + offset != len(self.data):  # something lies behind: move them
                strings = self.data[header + start : header + start + offset]
                self.data += bytes(-(len(self.data) - header) % 4)
                self.put(16, len(self.data) - header)
                self.data += strings
            self.data += text.encode() + b"\0"
            self.put(20, offset + len(text.encode()) + 1)
            self._strings[text] = offset
        return offset

    def retype(self, at: int, kind: Kind, third: int | None = None, *, vlen: int = 0) -> None:
        """Make the record at *at* a nameless one of *kind*."""
        self.put(at, 0)
        self.put(at + 4, kind << 24 | vlen)
        if third is not None:
            self.put(at + 8, third)

    # -- the steps ------------------------------------------------------------------------

    def names(self) -> None:
        """Replace names that are no C identifiers: btf_name_valid_identifier."""
        named = (t.Composite, t.Enum, t.FuncProto, *_MUST_HAVE_NAME)
        for found, at in self.of(*named):
            if found.name or isinstance(found, _MUST_HAVE_NAME):
                self.rename(at, found.name)
            items: list[str] = []
            size = 12
            if isinstance(found, t.Composite):
                items = [member.name for member in found.members]
            elif isinstance(found, t.Enum):
                items = [name or "_" for name, _ in found.values]
                size = 8 if found.kind == Kind.ENUM else 12
            elif isinstance(found, t.FuncProto):
                items, size = [name for name, _ in found.params], 8
            for index, name in enumerate(items):
                if name:
                    self.rename(at + 12 + index * size, name)

    def rename(self, at: int, name: str) -> None:
        """Write a valid name at *at* in place of *name* where that is none."""
        valid = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in name)
        if not valid or valid[0].isdigit():
            valid = f"_{valid}"
        if valid != name:
            self.put(at, self.string(valid))

    def attributes(self) -> None:
        """Replace tags that stand for attributes: a kernel that refuses kind_flag knows tags."""
        for found, at in self.of(t.TypeTag, t.DeclTag):
            if isinstance(found, t.TypeTag) and found.is_attribute:
                self.retype(at, Kind.CONST)
            elif isinstance(found, t.DeclTag) and found.is_attribute:
                self.filler(at)

    def enum64(self) -> None:
        """Make 64-bit enums unions of their constants, and all other enums unsigned."""
        for found, at in self.of(t.Enum):
            assert isinstance(found, t.Enum)
            if found.kind == Kind.ENUM:
                self.put(at + 4, self.get(at + 4) & ~_FLAG)
                continue
            # An enumerator (name, low, high) is as long as a member (name, type, offset).
            count = len(found.values)
            self.put(at + 4, Kind.UNION << 24 | count)
            for member in range(at + 12, at + 12 * (count + 1), 12):
                self.put(member + 4, self._small)
                self.put(member + 8, 0)

    def type_tag(self) -> None:
        """Make type tags `const`."""
        for _, at in self.of(t.TypeTag):
            self.retype(at, Kind.CONST)

    def decl_tag(self) -> None:
        """Make declaration tags integers that nothing refers to."""
        for _, at in self.of(t.DeclTag):
            self.filler(at)

    def filler(self, at: int) -> None:
        """Make a record with one word behind it an unsigned integer of a byte."""
        self.retype(at, Kind.INT, 1)
        self.put(at + 12, 8)

    def float(self) -> None:
        """Make floating-point types structs without members."""
        for _, at in self.of(t.Float):
            self.retype(at, Kind.STRUCT)

    def global_func(self) -> None:
        """Make every function static: its linkage is in a field that was reserved."""
        for _, at in self.of(t.Func):
            self.put(at + 4, Kind.FUNC << 24)

    def datasec(self) -> None:
        """Make data sections structs, and their variables bytes that are the members."""
        for found, at in self.of(t.DataSec):
            assert isinstance(found, t.DataSec)
            self.put(at + 4, Kind.STRUCT << 24 | len(found.variables))
            self.rename(at, found.name)
            for index, (var, offset, _) in enumerate(found.variables):
                member = at + 12 * (index + 1)
                self.put(member, self.get(self.place(var)))
                self.put(member + 4, var)
                self.put(member + 8, 8 * offset)
        for _, at in self.of(t.Var):
            self.filler(at)

    def func(self) -> None:
        """Make prototypes enums, whose values are as long as parameters, and functions typedefs."""
        for found, at in self.of(t.FuncProto):
            assert isinstance(found, t.FuncProto)
            self.retype(at, Kind.ENUM, 4, vlen=len(found.params))
            for item in range(at + 12, at + 12 + 8 * len(found.params), 8):
                if not self.get(item):
                    self.put(item, self.string("_"))
        for _, at in self.of(t.Func):
            self.put(at + 4, Kind.TYPEDEF << 24)
