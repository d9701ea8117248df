"""Assembling: instructions, labels and comments in, code with its tables out."""

from __future__ import annotations

import sys

from skep.asm.code import Code, Reference
from skep.asm.instruction import Instruction
from skep.asm.items import Item, Label
from skep.errors import NotFoundError, RangeError, SkepError, TypeMismatchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from skep.asm.code import Refers
    from skep.asm.instruction import ByteOrder
    from skep.asm.items import LiveMap, Source


class SourceLine:
    """The instruction at `index` and those after it come from line `number` of `file`.

    `text` is a comment of the program, or "" where the line itself says what it does.
    """

    __slots__ = ("file", "index", "number", "text")

    def __init__(self, index: int, file: str, number: int, text: str) -> None:
        self.index = index
        self.file = file
        self.number = number
        self.text = text

    def __repr__(self) -> str:
        return f"<SourceLine {self.index}: {self.file}:{self.number} {self.text!r}>"


class Assembly:
    """What `assemble` makes.

    `code` is the code; its references name the maps and kernel functions that are still to be
    filled in. `labels` says where each label is, `functions` the labels that are called, by
    index; `maps` holds the live maps that the code refers to, by the name used in `code`. `lines`
    is the Python behind it.
    """

    __slots__ = ("code", "functions", "labels", "lines", "maps")

    def __init__(self, code: Code) -> None:
        self.code = code
        self.labels: dict[str, int] = {}
        self.functions: dict[int, str] = {}
        self.maps: dict[str, LiveMap] = {}
        self.lines: list[SourceLine] = []


def assemble(
    source: Iterable[Source], *, byteorder: ByteOrder | None = None, name: str = "the program"
) -> Assembly:
    """Assemble *source*: instructions, and lists of them, with labels and comments between.

    Text that ends with a colon is a label (``"loop:"``), text that starts with a semicolon a
    comment on what follows, up to the next comment (``"; count the packet"``). *name* is what
    messages call it; *byteorder* is this machine's by default.

    Raises `NotFoundError` for a jump to a label that is nowhere, `RangeError` for one too far
    away and for a label that is there twice, `TypeMismatchError` for what is no instruction.
    """
    made = _Assembler(sys.byteorder if byteorder is None else byteorder, name)
    for item in _flat(source):
        made.take(item)
    return made.finish()


def _flat(source: Iterable[Source]) -> Iterator[Instruction | Label | str]:
    for item in source:
        if isinstance(item, (Instruction, Label, str)):
            yield item
        elif hasattr(item, "__iter__"):
            yield from _flat(item)
        else:
            message = f"{type(item).__name__} {item!r} is no instruction, label or comment"
            raise TypeMismatchError(message, expected="an instruction", given=item)


class _Assembler:
    def __init__(self, byteorder: ByteOrder, name: str) -> None:
        self.name = name
        self.instructions: list[Instruction] = []
        self.made = Assembly(Code(b"", byteorder))
        self.objects: dict[Label, int] = {}
        self.comment = ""
        self.fresh = False  # whether `comment` has an instruction yet

    def take(self, item: Instruction | Label | str) -> None:
        """Append *item*."""
        if isinstance(item, Instruction):
            self._line(item)
            self.instructions.append(item)
        elif isinstance(item, Label):
            if item in self.objects:
                raise self._twice(item.name)
            self.objects[item] = len(self.instructions)
            self._label(item.name or f"L{len(self.instructions)}", unnamed=not item.name)
        elif item.lstrip().startswith(";"):
            self.comment = item.lstrip().lstrip(";").strip()
            self.fresh = True
        elif item.endswith(":") and item[:-1].strip():
            self._label(item[:-1].strip())
        else:
            message = f"{self.name}: {item!r} is neither a label nor a comment"
            raise RangeError(message, hint='write a label as "name:", a comment as "; text"')

    def _label(self, name: str, *, unnamed: bool = False) -> None:
        labels = self.made.labels
        if name in labels:
            if unnamed:
                return
            raise self._twice(name)
        labels[name] = len(self.instructions)

    def _twice(self, name: str) -> RangeError:
        where = self.made.labels.get(name, 0)
        message = f"{self.name}: the label {name!r} at instruction {len(self.instructions)}"
        return RangeError(f"{message} is there already, at instruction {where}", given=name)

    def _line(self, item: Instruction) -> None:
        """Note where *item* comes from, unless that is where the one before came from."""
        lines = self.made.lines
        file, number = item.place if isinstance(item, Item) else ("", 0)
        if self.comment and not self.fresh:
            return
        if not file and not self.comment:
            return
        last = lines[-1] if lines else None
        if last and not self.fresh and (last.file, last.number, last.text) == (file, number, ""):
            return
        lines.append(SourceLine(len(self.instructions), file, number, self.comment))
        self.fresh = False

    def finish(self) -> Assembly:
        """Fill in what is known by now, and return the whole."""
        code = self.made.code
        data = bytearray()
        for index, instruction in enumerate(self.instructions):
            if isinstance(instruction, Item) and instruction.needs:
                instruction = self._completed(index, instruction)  # noqa: PLW2901
            try:
                data += instruction.encode(code.byteorder)
            except RangeError as error:
                error.args = (f"{self.name}, instruction {index}: {error.message}",)
                raise
        code.data = data
        return self.made

    def _completed(self, index: int, item: Item) -> Instruction:
        made = Instruction(item.opcode, item.dst, item.src, item.offset, item.imm)
        references = self.made.code.references
        if item.needs in ("map", "map value"):
            offset = self.instructions[index + 1].imm if index + 1 < len(self.instructions) else 0
            kind: Refers = "map" if item.needs == "map" else "data"
            references.append(Reference(index, kind, self._map(item.target), offset))
        elif item.needs == "kfunc":
            references.append(Reference(index, "kfunc", str(item.target)))
        else:
            there = self._where(index, item) - index - 1
            if item.needs == "jump":
                self._reach(index, item, there)
                made.offset = there
            else:
                made.imm = there
        return made

    def _map(self, target: object) -> str:
        if isinstance(target, str):
            return target
        live: LiveMap = target  # type: ignore[assignment]
        name, count = live.name or "map", 1
        while self.made.maps.get(name, live) is not live:  # two maps of one name
            count += 1
            name = f"{live.name}#{count}"
        self.made.maps[name] = live
        return name

    def _where(self, index: int, item: Item) -> int:
        """Return the index that the label of *item* stands for."""
        target = item.target
        if isinstance(target, Label):
            name, place = target.name or repr(target), self.objects.get(target)
            if place is None and target.name:
                place = self.made.labels.get(target.name)
        else:
            name = str(target).removesuffix(":")
            place = self.made.labels.get(name)
        if place is None:
            raise self._no_label(index, name)
        if item.needs in ("call", "function"):
            self.made.functions[place] = next(
                label for label, at in self.made.labels.items() if at == place
            )
        return place

    def _no_label(self, index: int, name: str) -> SkepError:
        from difflib import get_close_matches

        close = get_close_matches(name, self.made.labels, n=3)
        hint = f"did you mean {', '.join(close)}?" if close else ""
        if not hint:
            known = ", ".join(self.made.labels) or "none"
            hint = f"the labels are: {known}" if len(known) < 200 else ""
        message = f"{self.name}: instruction {index} refers to the label {name!r}, which is nowhere"
        return NotFoundError(message, hint=hint, name=name, where=self.name)

    def _reach(self, index: int, item: Item, there: int) -> None:
        if not -(1 << 15) <= there < 1 << 15:
            label = item.target.name if isinstance(item.target, Label) else item.target
            message = (
                f"{self.name}: instruction {index} jumps to the label {label!r}, which is {there}"
                " instructions away; jumps reach -32768 to 32767"
            )
            raise RangeError(message, hint="jump_long() reaches any label (v4)", given=there)
