"""The CO-RE relocations of an object as rows to read: what each asks, and what a kernel answers.

Nothing is loaded and the spec is not changed; hostile records become rows with a reason.
"""

from __future__ import annotations

from skep.btf import types as t
from skep.errors import BtfError, NoBtfError, RelocationError
from skep.object.core import Resolver, titled
from skep.object.core_patch import patch
from skep.object.core_path import MAX_TEXT, local_path, numbers
from skep.object.core_values import RelocationKind, field_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from skep.asm.code import Code, CoreRecord
    from skep.btf.btf import Btf
    from skep.btf.target import Target
    from skep.object.spec import ObjectSpec

K = RelocationKind
MAX_LINE = 512  # characters of a source line that a row shows

KIND_NAMES = {
    K.FIELD_BYTE_OFFSET: "byte_off",
    K.FIELD_BYTE_SIZE: "byte_sz",
    K.FIELD_EXISTS: "field_exists",
    K.FIELD_SIGNED: "signed",
    K.FIELD_LSHIFT_U64: "lshift_u64",
    K.FIELD_RSHIFT_U64: "rshift_u64",
    K.TYPE_ID_LOCAL: "local_type_id",
    K.TYPE_ID_TARGET: "target_type_id",
    K.TYPE_EXISTS: "type_exists",
    K.TYPE_SIZE: "type_size",
    K.ENUMVAL_EXISTS: "enumval_exists",
    K.ENUMVAL_VALUE: "enumval_value",
    K.TYPE_MATCHES: "type_matches",
}
"""What libbpf's messages call each kind."""


class Row:
    """One relocation.

    `program` and `section`: the program it is in; `instruction`: the index of its instruction
    there, with the subprograms appended. `file`, `line_number`, `line`: the place in the C source,
    "" and 0 without line info. `kind`: one of `KIND_NAMES`, or "kind 99". `type`: the local type
    as C names it, flavour included; `path`: the access in words ("task_struct.mm.arg_start",
    "bpf_map_type::BPF_MAP_TYPE_HASH"); `access`: as it is recorded ("0:5:1"). `local` is the value
    by the object's own types, `target` the one on the kernel that was asked; None where there is
    none, and `reason` says why, "" otherwise.
    """

    __slots__ = (
        "access", "file", "instruction", "kind", "line", "line_number", "local", "path", "program",
        "reason", "section", "target", "type",
    )  # fmt: skip

    def __init__(self, program: str, section: str, instruction: int, access: str) -> None:
        self.program = program
        self.section = section
        self.instruction = instruction
        self.access = access
        self.file = ""
        self.line_number = 0
        self.line = ""
        self.kind = ""
        self.type = ""
        self.path = ""
        self.local: int | None = None
        self.target: int | None = None
        self.reason = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the attributes by name, in the order in which a person wants them."""
        order = (
            "program", "section", "instruction", "kind", "type", "path", "access", "local",
            "target", "reason", "file", "line_number", "line",
        )  # fmt: skip
        return {name: getattr(self, name) for name in order}

    def __repr__(self) -> str:
        result = self.reason or self.target
        return f"<Row {self.program}+{self.instruction} {self.kind} {self.path}: {result}>"


def explain(spec: ObjectSpec, target: Target | Btf | None) -> list[Row]:
    """Return a row for each CO-RE relocation of *spec*, in the order of programs and instructions.

    *target* is what `find_target` found, or any `Btf`. With None, or a target without BTF, rows
    say what is asked, and their reason why there is no answer.
    """
    if spec.btf is None:
        return []
    resolver = Resolver(spec.btf, lambda: _required(target))
    return [
        row
        for program in spec.programs.values()
        for row in _rows(spec.btf, resolver, program.name, program.section, program.code)
    ]


def _required(target: Target | Btf | None) -> Target | Btf:
    if target is None:
        raise NoBtfError("no kernel's BTF was given", name="vmlinux")
    return target


def _rows(btf: Btf, resolver: Resolver, program: str, section: str, code: Code) -> Iterator[Row]:
    changed = code.copy()
    lines = sorted(code.lines)
    texts: dict[int, str] = {}

    def shown(offset: int) -> str:
        """Return a file's name or a line, which macros can make long, once for all rows."""
        if offset not in texts:
            texts[offset] = btf.string(offset).strip()[:MAX_LINE]
        return texts[offset]

    at = 0
    for record in sorted(code.core, key=lambda each: each.index):
        row = Row(program, section, record.index, record.access)
        while at + 1 < len(lines) and lines[at + 1][0] <= record.index:
            at += 1
        row.kind = KIND_NAMES.get(record.kind, f"kind {record.kind}")  # type: ignore[call-overload]
        try:
            if lines and lines[at][0] <= record.index:
                _, file, text, position = lines[at]
                row.file, row.line = shown(file), shown(text)
                row.line_number = position >> 10
            _ask(row, btf, record)
            answer = resolver.resolve(record.type_id, record.access, record.kind)
            row.reason = answer.reason or patch(changed, record, answer, program)
        except RelocationError as error:
            row.reason = error.reason
        except (BtfError, NoBtfError) as error:
            row.reason = error.message
        else:
            if not row.reason:
                row.target = answer.value
        yield row


def _ask(row: Row, btf: Btf, record: CoreRecord) -> None:
    """Fill in what a relocation is about, and its value in the object's own types."""
    root = btf.type(record.type_id)
    row.type = titled(root, root.name)
    row.path = root.name[:MAX_TEXT]
    kind = record.kind
    if kind <= K.FIELD_RSHIFT_U64:
        path = local_path(btf, record.type_id, record.access)
        joint = "" if path.text.startswith("[") or not path.text else "."
        row.path += joint + path.text
        row.local = field_value(path.place, kind)[0]
    elif kind in (K.ENUMVAL_EXISTS, K.ENUMVAL_VALUE):
        enum, index = btf.strip(root.id), numbers(record.access)[0]
        if isinstance(enum, t.Enum) and index < len(enum.values):
            name, value = enum.values[index]
            row.path += f"::{name[:MAX_TEXT]}"
            row.local = value if kind == K.ENUMVAL_VALUE else 1
    elif kind in (K.TYPE_ID_LOCAL, K.TYPE_ID_TARGET):
        row.local = record.type_id
    elif kind == K.TYPE_SIZE:
        row.local = btf.size_of(root.id)
    elif kind in (K.TYPE_EXISTS, K.TYPE_MATCHES):
        row.local = 1
