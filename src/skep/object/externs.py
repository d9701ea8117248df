"""What an object only declares and the running kernel provides: its externs.

Three kinds, told apart by the section that the declaration puts them in:

- ``kconfig`` (``.kconfig``): a kernel option ``CONFIG_X``, or one of the values that libbpf
  invented (``LINUX_KERNEL_VERSION``, ``LINUX_HAS_SYSCALL_WRAPPER``, ``LINUX_HAS_BPF_COOKIE``).
  They are the variables of a read-only map called ``.kconfig``.
- ``ksym`` (``.ksyms``): the address of a kernel symbol (declared ``const void``), or a kernel
  variable with its type.
- ``kfunc`` (``.ksyms``): a kernel function that programs may call.

Here they are plain data; `skep.object.extern_link` finds them in the running kernel.
"""

from __future__ import annotations

from skep.btf import types as t
from skep.elf.reader import SHN_UNDEF, STB_WEAK
from skep.errors import BtfError, UnsupportedError
from skep.kernel.constants import MapFlags, MapType
from skep.maps.spec import MapSpec
from skep.object.core_types import essential_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal

    from skep.btf.btf import Btf
    from skep.elf.reader import ElfFile
    from skep.object.btf_layout import Editor

KCONFIG, KSYMS = ".kconfig", ".ksyms"

MAX_OPTIONS = 1 << 20
"""Bytes of all kconfig externs of an object: a declaration costs a hostile file nothing."""


class ExternSpec:
    """One extern: `name`, `kind` ("kconfig", "ksym", "kfunc"), whether it is `weak`.

    `type_id` is its type in the object's BTF *btf*: the variable's, or a kfunc's prototype.
    A weak one that the kernel lacks is 0; a strong one is an error of the programs that use it.
    For kconfig, `size` bytes at `offset` of the map ``.kconfig`` hold the value. Not
    thread-safe.
    """

    __slots__ = ("_value", "btf", "kind", "name", "offset", "size", "type_id", "weak")

    def __init__(
        self,
        name: str,
        kind: Literal["kconfig", "ksym", "kfunc"],
        *,
        weak: bool,
        btf: Btf,
        type_id: int,
        size: int = 0,
        offset: int = 0,
    ) -> None:
        self.name = name
        self.kind = kind
        self.weak = weak
        self.btf = btf
        self.type_id = type_id
        self.size = size
        self.offset = offset
        self._value: Any = None

    def __repr__(self) -> str:
        weak = "weak " if self.weak else ""
        return f"<ExternSpec {weak}{self.kind} {self.name!r}>"

    @property
    def typed(self) -> bool:
        """Whether it has a type: a ksym declared as `void` is only an address."""
        return self.kind != "ksym" or not isinstance(self.btf.strip(self.type_id), t.Void)

    @property
    def kernel_name(self) -> str:
        """What the kernel calls it: a kfunc's flavour (``bpf_x___v2``) is not part of the name."""
        return essential_name(self.name) if self.kind == "kfunc" else self.name

    @property
    def declaration(self) -> str:
        """How C declares it, in one line."""
        from skep.btf.spelling import declaration

        return declaration(self.btf, self.type_id, self.name)

    @property
    def value(self) -> Any:
        """The value given to a kconfig extern in place of the kernel's, None for the kernel's.

        True, False, "m" (tristates), an int or a str, as the C type asks for. Setting raises
        `TypeMismatchError` or `RangeError` naming the C type, and `UnsupportedError` for
        externs that are no kconfig.
        """
        return self._value

    @value.setter
    def value(self, value: Any) -> None:
        if self.kind != "kconfig":
            raise UnsupportedError(
                f"{self.kind} {self.name!r} is the kernel's: only kconfig externs take a value",
                feature=f"values of a {self.kind}",
                name=self.name,
            )
        if value is not None:
            from skep.object.extern_values import pack

            pack(self, value)
        self._value = value

    def decode(self, contents: bytes | bytearray | memoryview) -> Any:
        """Return this kconfig extern's value in the bytes of the map ``.kconfig``."""
        from skep.btf.codec import codec

        return codec(self.btf, self.type_id).unpack(contents, self.offset)

    def copy(self) -> ExternSpec:
        """Return a copy whose value can be set apart."""
        made = ExternSpec(
            self.name, self.kind, weak=self.weak, btf=self.btf, type_id=self.type_id,
            size=self.size, offset=self.offset,
        )  # fmt: skip
        made._value = self._value
        return made


def read_externs(elf: ElfFile, btf: Btf | None) -> dict[str, ExternSpec]:
    """List what the BTF of *elf* declares as externs, by name.

    An open symbol without such a declaration is left out: a program that uses it says so when it
    is loaded. *btf* is the BTF as the compiler wrote it.
    """
    found: dict[str, ExternSpec] = {}
    if btf is None:
        return found
    strong = {
        symbol.name
        for symbol in elf.symbols
        if symbol.section_index == SHN_UNDEF and symbol.binding != STB_WEAK
    }
    for section in _sections(btf):
        for id_, _, _ in section.variables:
            declared = btf.type(id_)
            kind: Literal["kconfig", "ksym", "kfunc"]
            if isinstance(declared, t.Func) and section.name == KSYMS:
                kind = "kfunc"
            elif isinstance(declared, t.Var):
                kind = "ksym" if section.name == KSYMS else "kconfig"
            else:
                continue
            found[declared.name] = ExternSpec(
                declared.name,
                kind,
                weak=declared.name not in strong,
                btf=btf,
                type_id=declared.type_id,
            )
    _place_options([extern for extern in found.values() if extern.kind == "kconfig"])
    return found


def _sections(btf: Btf) -> list[t.DataSec]:
    ids = [*btf.find(KCONFIG, t.Kind.DATASEC), *btf.find(KSYMS, t.Kind.DATASEC)]
    return [section for section in map(btf.type, ids) if isinstance(section, t.DataSec)]


def _place_options(options: list[ExternSpec]) -> None:
    """Give the kconfig externs their places in the map: the most aligned first, as libbpf."""
    aligned = []
    for extern in options:
        try:
            extern.size = extern.btf.size_of(extern.type_id)
            aligned.append((extern.btf.align_of(extern.type_id), extern.size, extern))
        except BtfError as error:
            message = f"{extern.btf.name}: kconfig extern {extern.name!r} has no size: "
            raise BtfError(message + error.message, source=extern.btf.name) from error
    end = 0
    aligned.sort(key=lambda row: (-row[0], row[1], row[2].name))
    for align, size, extern in aligned:
        extern.offset = -(-end // align) * align
        end = extern.offset + size
        if end > MAX_OPTIONS:
            raise BtfError(
                f"{extern.btf.name}: its kconfig externs take more than {MAX_OPTIONS} bytes",
                source=extern.btf.name,
            )


def kconfig_map(externs: dict[str, ExternSpec], btf: Btf) -> MapSpec | None:
    """Make the spec of the map that holds the kconfig values; None when there are none.

    It has no contents yet: those come from the running kernel.
    """
    options = [extern for extern in externs.values() if extern.kind == "kconfig"]
    if not options:
        return None
    sections = btf.find(KCONFIG, t.Kind.DATASEC)
    return MapSpec(
        name=KCONFIG,
        type=MapType.ARRAY,
        key_size=4,
        value_size=max(extern.offset + extern.size for extern in options),
        max_entries=1,
        flags=MapFlags.MMAPABLE | MapFlags.RDONLY_PROG,
        btf=btf,
        value_type_id=sections[0] if sections else 0,
        frozen=True,
    )


def fix_types(
    editor: Editor, btf: Btf, externs: dict[str, ExternSpec], undefined: list[int]
) -> None:
    """Make the externs of *btf* acceptable for the kernel, which knows no externs.

    *undefined* are the ids of all functions and variables that are only declared. Every type keeps
    its id. A kconfig extern becomes a global variable at its place. A kernel
    variable becomes one of an integer, since its own type may be incomplete, a kfunc a
    static function whose parameters have names (btf_func_check wants them), and the section
    ``.ksyms``, of which nothing is in memory, a union of integers, which is just as long.
    """
    small = next((id_ for id_ in range(1, len(btf)) if btf.kind_of(id_) == t.Kind.INT), 0)
    for section in _sections(btf):
        at = editor.place(section.id)
        if section.name == KCONFIG:
            _fix_options(editor, btf, section, externs)
            continue
        editor.put(at, 0)
        editor.put(at + 4, t.Kind.UNION << 24 | len(section.variables))
        editor.put(at + 8, 8)
        for number, (id_, _, _) in enumerate(section.variables):
            member = at + 12 * (number + 1)
            editor.put(member, editor.get(editor.place(id_)))  # its name
            editor.put(member + 4, small)
            editor.put(member + 8, 0)
    done: set[int] = set()  # prototypes: many functions may have the same one
    for id_ in undefined:
        declared = btf.type(id_)
        if isinstance(declared, t.Func):
            _fix_function(editor, btf, declared, done)
            continue
        editor.put(editor.place(id_) + 12, 1)
        extern = externs.get(declared.name)
        if extern is None or extern.kind != "kconfig":
            editor.put(editor.place(id_) + 8, small)


def _fix_options(
    editor: Editor, btf: Btf, section: t.DataSec, externs: dict[str, ExternSpec]
) -> None:
    at = editor.place(section.id)
    rows = []
    end = 0
    for id_, _, _ in section.variables:
        declared = btf.type(id_)
        extern = externs.get(declared.name)
        if not isinstance(declared, t.Var) or extern is None or extern.kind != "kconfig":
            continue
        rows.append((extern.offset, id_, extern.size))
        end = max(end, extern.offset + extern.size)
    editor.put(at + 8, end)
    for offset, id_, size in sorted(rows):
        at += 12
        editor.put(at, id_)
        editor.put(at + 4, offset)
        editor.put(at + 8, size)


def _fix_function(editor: Editor, btf: Btf, function: t.Func, done: set[int]) -> None:
    at = editor.place(function.id)
    editor.put(at + 4, editor.get(at + 4) & ~0xFFFF)  # vlen holds the linkage; 0 is static
    proto = btf.type(function.type_id)
    if isinstance(proto, t.FuncProto) and proto.id not in done:
        done.add(proto.id)
        first = editor.place(proto.id) + 12
        for number, (name, type_id) in enumerate(proto.params):
            if type_id and not name:
                editor.put(first + 8 * number, editor.get(at))
