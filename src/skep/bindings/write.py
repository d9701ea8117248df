"""`generate`: the text of a typed module for one object.

The text is the same wherever and by whatever Python it is written, is formatted as ruff would
format it, and has nothing in it that an object could make executable: names are identifiers by
construction, texts are literals or docstrings that cannot end early.
"""

from __future__ import annotations

from skep.bindings import declare
from skep.bindings.kinds import map_annotation
from skep.bindings.names import NAMESPACE, OPEN, Names, literal, shown
from skep.bindings.types import ANY, Types
from skep.btf import types as t
from skep.btf.btf import MAX_DEPTH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from re import Match

    from skep.bindings.types import EnumShape, RecordShape
    from skep.object.spec import ObjectSpec
    from skep.object.variables import VariableSpec

WIDTH = 88
"""Columns of a line: ruff's and black's own, so that both leave the module as it is."""

MARK = "Written by `skep gen"
"""In the docstring of every generated module; a file without it is not overwritten."""

_LOAD = "**load: Unpack[Load]"


def generate(
    spec: ObjectSpec,
    *,
    object: str = "",
    data: bytes | None = None,
    embed: bool = False,
    types: Iterable[str] = (),
) -> str:
    """Return the text of the typed module for *spec*.

    *object* is where the module finds the object file: a path relative to itself, with "/"; by
    default the object's name. *data* are the bytes of the object, read from `ObjectSpec.path` when
    not given; with *embed* they are put into the module. *types* are structs and enums to write
    classes of beside those that maps and variables use.

    Raises `NotFoundError` for a type or file that there is not, `BtfError` for an object with more
    types than a module can have. The spec is not changed.
    """
    from hashlib import sha256

    if data is None:
        data = _read(spec)
    name = object or spec.name
    return _Writer(spec, types).module(name, sha256(data).hexdigest(), data if embed else b"")


def _read(spec: ObjectSpec) -> bytes:
    from skep.errors import NotFoundError

    if spec.path is None:
        message = f"{spec.name} did not come from a file: its bytes are needed to know it again"
        raise NotFoundError(message, hint="give them: generate(spec, data=...)", name=spec.name)
    try:
        with open(spec.path, "rb") as file:
            return file.read()
    except OSError as error:
        message = f"the object file {spec.path} cannot be read: {error.strerror}"
        raise NotFoundError(message, name=spec.path) from error


class _Writer:
    """Writes one module."""

    def __init__(self, spec: ObjectSpec, more: Iterable[str]) -> None:
        self.spec = spec
        self.types = Types(spec, more)
        self.renamed: dict[str, str] = {}  # "map NAME" -> C's name, where they differ
        self.imports: set[tuple[str, str]] = set()
        self.aliases: dict[str, str] = {}  # of types, for scopes where their own name is taken
        self.taken: dict[str, frozenset[str]] = {}  # the names in each of the three namespaces
        self.maps = self._scope("map", list(spec.maps), NAMESPACE)
        self.variables = self._scope("variable", list(spec.variables), NAMESPACE)
        self.programs = self._scope("program", list(spec.programs), NAMESPACE)

    def _scope(self, kind: str, names: list[str], reserved: Iterable[str]) -> list[str]:
        made = Names(reserved).assign(names)
        self.taken[kind] = frozenset(made)
        self.renamed.update(
            {f"{kind} {python}": c for python, c in zip(made, names, strict=True) if python != c}
        )
        return made

    # The parts

    def module(self, object_: str, digest: str, embedded: bytes) -> str:
        """Return all of it."""
        types = [
            *(each for enum in self.types.enums for each in self._enum(enum)),
            *(each for record in self.types.records for each in self._record(record)),
        ]
        body = [
            *self._maps(),
            *self._variables(),
            *self._programs(),
            *self._opened(),
            *self._sizes(),
            *self._open(),
            *self._spec(),
            *self._binding(object_, digest, embedded),
        ]
        # Last, when it is known what they mention.
        return "\n".join([*self._head(), *types, *self._aliases(), *body]) + "\n"

    def _head(self) -> Iterator[str]:
        name = shown(self.spec.name)
        yield f'"""What {name} has: its maps, programs and variables, with their types.'
        yield ""
        yield f"{MARK} {name}`. Do not edit it: change the C source, then write it anew."
        yield '"""'
        yield ""
        yield "# ruff: noqa"
        yield "from __future__ import annotations"
        yield ""
        yield "from skep.bindings import module as _skep"
        yield ""
        yield "TYPE_CHECKING = False"
        yield "if TYPE_CHECKING:"
        self.imports |= {
            ("os", ""),
            ("typing", "Unpack"),
            ("skep.bindings.module", "Load"),
            ("skep", "ObjectSpec"),
        }
        yield from self._imports()

    def _imports(self) -> Iterator[str]:
        modules: dict[str, list[str]] = {}
        for module, name in sorted(self.imports):
            modules.setdefault(module, []).append(name)
        standard = [each for each in modules if not each.startswith("skep")]
        plain = [each for each in standard if modules[each] == [""]]
        for each in plain:
            yield f"    import {each}"
        for each in sorted(set(standard) - set(plain)):
            yield from _import(each, modules[each])
        yield ""
        for each in sorted(set(modules) - set(standard)):
            yield from _import(each, modules[each])

    def _aliases(self) -> Iterator[str]:
        imported = {name for _, name in self.imports}
        pairs = sorted(self.aliases.items())
        if pairs:
            yield from ("", "", "# Types that are called like a member, map or variable.")
        yield from (f"{alias} = {name}" for name, alias in pairs if name not in imported)
        checked = [f"    {alias} = {name}" for name, alias in pairs if name in imported]
        if checked:
            yield from ("if TYPE_CHECKING:", *checked)

    def _scoped(self, annotation: str, scope: Collection[str]) -> str:
        """Return *annotation* for a class body where the names of *scope* mean something else."""
        from re import sub

        def other(word: Match[str]) -> str:
            name = word[0]
            if name not in scope:
                return name
            if name not in self.aliases:
                self.aliases[name] = self.types.names.take(f"_{name}")
            return self.aliases[name]

        self._note(annotation)
        return sub(r"\w+", other, annotation)

    def _enum(self, enum: EnumShape) -> Iterator[str]:
        yield from ("", "", f"class {enum.name}(_skep.IntEnum):")
        title = f"`{shown(enum.spelt)}`, {enum.found.size} bytes."
        yield from docstring([title, "", *declare.c_definition(enum)], "    ")
        yield ""
        for name, number in enum.values:
            yield f"    {name} = {number}"

    def _record(self, record: RecordShape) -> Iterator[str]:
        options = [f"type_name={literal(record.type_name)}"]
        if any(field.name != field.c_name for field in record.fields):
            names = [literal(field.c_name) for field in record.fields]
            options.append(f"members=({', '.join(names)}{',' * (len(names) == 1)})")
        yield from ("", "")
        yield from call(f"class {record.name}(", ["_skep.Record", *options], "):", "")
        what = record.type_name if record.type_name == record.spelt else record.name
        title = f"`{shown(what)}`, {record.found.size} bytes."
        yield from docstring([title, "", *declare.c_definition(record)], "    ")
        if record.fields:
            yield ""
        scope = {field.name for field in record.fields}
        for field in record.fields:
            yield f"    {field.name}: {self._scoped(field.annotation, scope)}"

    def _note(self, annotation: str) -> None:
        """Import what *annotation* mentions."""
        for word in annotation.replace("[", " ").replace("]", " ").replace(",", " ").split():
            if word in _HOMES:
                self.imports.add((_HOMES[word], word))

    def _namespace(self, kind: str, what: str) -> Iterator[str]:
        yield from ("", "", f"class {kind}(_skep.{kind}):")
        yield from docstring([f"The {what} of {shown(self.spec.name)}."], "    ")
        yield ""
        yield "    __slots__ = ()"

    def _maps(self) -> Iterator[str]:
        yield from self._namespace("Maps", "maps")
        for name, (c_name, spec) in zip(self.maps, self.spec.maps.items(), strict=True):
            annotation, imports = map_annotation(spec, self.types)
            self.imports |= imports
            annotation = self._scoped(annotation, self.taken["map"])
            lines = [declare.map_summary(c_name, spec)]
            if spec.contents is None:
                lines += ["", *declare.c_map(c_name, spec)]
            yield from attribute(name, annotation, lines, f"self._map({literal(c_name)})")

    def _variables(self) -> Iterator[str]:
        yield from self._namespace("Variables", "global variables")
        btf = self.spec.btf
        for name, (c_name, spec) in zip(self.variables, self.spec.variables.items(), strict=True):
            assert btf is not None
            inner = self.types.annotation(spec.type_id)
            annotation = self._scoped(f"Variable[{inner}]", self.taken["variable"])
            what = "constant" if spec.constant else "variable"
            lines = [
                f"`{declare.c_variable(c_name, spec, btf)}`: a {what} in `{shown(spec.section)}`."
            ]
            if spec.constant and _volatile(spec):
                lines += ["", "It is set by `open`, and never changes after that."]
            yield from attribute(name, annotation, lines, f"self._variable({literal(c_name)})")

    def _programs(self) -> Iterator[str]:
        yield from self._namespace("Programs", "programs")
        for name, (c_name, spec) in zip(self.programs, self.spec.programs.items(), strict=True):
            annotation = self._scoped("Program", self.taken["program"])
            lines = [declare.program_summary(c_name, spec)]
            prototype = declare.c_program(c_name, self.spec.btf)
            lines += ["", prototype] * bool(prototype)
            yield from attribute(name, annotation, lines, f"self._program({literal(c_name)})")

    def _opened(self) -> Iterator[str]:
        yield from ("", "", "class Opened(_skep.Opened):")
        yield from docstring([f"{shown(self.spec.name)} in the kernel, until `close()`."], "    ")
        yield ""
        yield "    __slots__ = ()"
        yield "    _parts = (Maps, Programs, Variables)"
        yield ""
        yield "    maps: Maps"
        yield "    programs: Programs"
        yield "    variables: Variables"

    # open() and spec()

    def _sizes(self) -> Iterator[str]:
        sized = self._sized()
        if not sized:
            return
        self.imports.add(("typing", "TypedDict"))
        yield from ("", "", "if TYPE_CHECKING:", "")
        yield "    class MaxEntries(TypedDict, total=False):"
        yield from docstring(["Numbers of entries by map, for `open`."], "        ")
        yield ""
        number = self._scoped("int", [name for name, _ in sized])
        for name, entries in sized:
            yield f"        {name}: {number}  # {entries} in the object"

    def _sized(self) -> list[tuple[str, int]]:
        pairs = zip(self.maps, self.spec.maps.values(), strict=True)
        return [(name, spec.max_entries) for name, spec in pairs if spec.contents is None]

    def _open(self) -> Iterator[str]:
        constants = [
            (name, c_name, spec)
            for name, (c_name, spec) in zip(
                self.variables, self.spec.variables.items(), strict=True
            )
            if spec.constant and _volatile(spec)
        ]
        parameters = Names(OPEN).assign(name for name, _, _ in constants)
        signature, told = ["*"], []
        btf = self.spec.btf
        for parameter, (_, c_name, spec) in zip(parameters, constants, strict=True):
            assert btf is not None
            annotation = self.types.annotation(spec.type_id)
            self._note(annotation)
            optional = annotation if annotation == ANY else f"{annotation} | None"
            signature.append(f"{parameter}: {optional} = None")
            told.append(f"{parameter}: `{declare.c_variable(c_name, spec, btf)}`.")
        sized = bool(self._sized())
        if sized:
            signature.append("max_entries: MaxEntries | None = None")
        signature.append("object: str | os.PathLike[str] | ObjectSpec | None = None")
        yield from ("", "")
        yield from call("def open(", [*signature, _LOAD], ") -> Opened:", "")
        name = shown(self.spec.name)
        lines = [f"Load {name} into the kernel; close it, or use `with`.", ""]
        if told:
            lines += ["Constants keep the object's values where they are not given.", *told, ""]
        if sized:
            lines += ["*max_entries* are other sizes of maps, by name.", ""]
        lines += [
            "*object* is another file to load, or a spec, with the same types. What else there is",
            "is for `skep.ObjectSpec.load`, which says what is raised.",
        ]
        yield from docstring(lines, "    ")
        pairs = [
            f"{literal(name)}: {parameter}"
            for parameter, (name, _, _) in zip(parameters, constants, strict=True)
        ]
        given = list(call("constants = {", pairs, "}", "    ")) if pairs else []
        yield from given
        size = "max_entries" if sized else "None"
        what = "constants" if pairs else "{}"
        yield f"    return Opened(_BINDING.load(object, {what}, {size}, load))"

    def _spec(self) -> Iterator[str]:
        yield from ("", "", "def spec() -> ObjectSpec:")
        yield from docstring(
            [f"Return {shown(self.spec.name)} as plain data: edit it, then `open(object=...)`."],
            "    ",
        )
        yield "    return _BINDING.spec()"

    def _binding(self, object_: str, digest: str, embedded: bytes) -> Iterator[str]:
        yield from ("", "", "_BINDING = _skep.Binding(")
        yield "    __file__,"
        yield f"    {literal(object_)},"
        yield f"    {literal(digest)},"
        yield from block("shape=(", map(literal, declare.shape(self.spec, self.types)), "),")
        ids = [f"{id_}: {name}" for id_, name in sorted(self.types.ids().items())]
        yield from block("records={", ids, "},")
        names = [f"{literal(python)}: {literal(c)}" for python, c in self.renamed.items()]
        yield from block("names={", names, "},")
        if embedded:
            yield '    embedded="""'
            yield from _base64(embedded)
            yield '""",'
        yield ")"


def _volatile(spec: VariableSpec) -> bool:
    """Whether the compiler leaves it to the loader what a constant is: ``const volatile``."""
    found = spec.btf.type(spec.type_id)
    for _ in range(MAX_DEPTH):
        if isinstance(found, t.Volatile):
            return True
        if not isinstance(found, (t.Modifier, t.Array)):
            break
        found = spec.btf.type(found.type_id)
    return False


_HOMES = {
    "Any": "typing",
    "Never": "typing",
    "Variable": "skep.maps",
    "Program": "skep",
    **dict.fromkeys(
        (
            "IPv4Address", "IPv4Interface", "IPv4Network",
            "IPv6Address", "IPv6Interface", "IPv6Network",
        ),
        "ipaddress",
    ),
}  # fmt: skip
"""Where the names come from that annotations use, besides the classes of maps."""


def _import(module: str, names: Iterable[str]) -> list[str]:
    """Import *names* for type checkers, in one line where they fit."""
    names = sorted(names)
    line = f"    from {module} import {', '.join(names)}"
    if len(line) <= WIDTH:
        return [line]
    return [f"    from {module} import (", *(f"        {each}," for each in names), "    )"]


def call(start: str, items: Sequence[str], end: str, indent: str) -> Iterator[str]:
    """Yield *items* in brackets in one line where they fit, else one a line."""
    line = f"{indent}{start}{', '.join(items)}{end}"
    if len(line) <= WIDTH:
        yield line
        return
    yield f"{indent}{start}"
    for item in items:
        # Nothing may follow **kwargs but a comma; a lone * takes one as well.
        yield f"{indent}    {item},"
    yield f"{indent}{end}"


def block(start: str, items: Iterable[str], end: str) -> Iterator[str]:
    """Yield an argument of the binding, one item a line."""
    rows = list(items)
    one = f"    {start}{''.join(rows)}{',' * start.endswith('(')}{end}"
    # The comma after a tuple's only item does not make it one item a line.
    if not rows or (len(rows) == 1 and start.endswith("(") and len(one) <= WIDTH):
        yield one if rows else f"    {start}{end}"
        return
    yield f"    {start}"
    for row in rows:
        yield f"        {row},"
    yield f"    {end}"


def attribute(name: str, annotation: str, lines: Sequence[str], value: str) -> Iterator[str]:
    """Yield a read-only attribute with a docstring."""
    yield ""
    yield "    @property"
    line = f"    def {name}(self) -> {annotation}:"
    if len(line) <= WIDTH:
        yield line
    else:
        yield f"    def {name}("
        yield "        self,"
        yield f"    ) -> {annotation}:"
    yield from docstring(lines, "        ")
    function, _, argument = value.removesuffix(")").partition("(")
    yield from call(f"return {function}(", [argument], ")", "        ")


def docstring(lines: Sequence[str], indent: str) -> Iterator[str]:
    """Yield *lines* as a docstring that ends where it should, whatever they say."""
    safe = [_safe(line) for line in lines]
    if len(safe) == 1:
        closing = "." if safe[0].endswith('"') else ""
        yield f'{indent}"""{safe[0]}{closing}"""'
        return
    first = safe[0].lstrip() or "?"
    yield f'{indent}"""{" " * first.startswith(chr(34))}{first}'
    for line in safe[1:]:
        yield f"{indent}{line}".rstrip()
    yield f'{indent}"""'


def _safe(line: str) -> str:
    plain = "".join(c if " " <= c <= "~" and c != "\\" else "?" for c in line)
    return plain.replace('"""', "'''").rstrip()


def _base64(data: bytes) -> Iterator[str]:
    from binascii import b2a_base64

    for at in range(0, len(data), 57):
        yield b2a_base64(data[at : at + 57], newline=False).decode()
