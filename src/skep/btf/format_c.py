"""A whole BTF blob as a C header: what `vmlinux.h` is.

Every struct, union, enum and typedef is written once, in an order C accepts, with explicit
padding where the source had alignment attributes that BTF does not record, so that every size and
offset is the one BTF states. The header is for `clang -target bpf`.

C needs a type complete where it is a member, an array element or an anonymous body, and merely
declared where it is pointed to or passed. `_Header.need` follows a type with one of these
strengths and emits what is missing first.

Where several types have one name (two drivers' private `struct priv`), the second is written
with the suffix `___2`, the third `___3`; CO-RE ignores what follows three underscores.
"""

from __future__ import annotations

from skep.btf import types as t
from skep.btf._c_words import BUILTIN
from skep.btf.btf import MAX_DEPTH
from skep.btf.spelling import MAX_PARTS, Speller, declaration, identifier, is_builtin
from skep.errors import BtfError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from skep.btf.btf import Btf

__all__ = ["declaration", "definition", "dump_c"]

# How complete a type has to be where it is used.
_DECLARED = 0
_ELEMENT = 1  # of an array that is pointed to: complete, unless it is being written right now
_COMPLETE = 2

_MAX_NESTING = 128  # definitions that wait for each other

_PLAIN = {1: "char", 2: "short", 4: "int", 8: "long", 16: "__int128"}
_MODES = {1: "byte", 2: "HI", 4: "SI", 8: "DI"}
_SMALL = 1 << 31

_BEGIN = """\
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)
#endif

#ifndef __btf_type_tag
#if defined(__has_attribute)
#if __has_attribute(btf_type_tag)
#define __btf_type_tag(tag) __attribute__((btf_type_tag(tag)))
#endif
#endif
#ifndef __btf_type_tag
#define __btf_type_tag(tag)
#endif
#endif
"""
_END = """\
#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

#endif /* __VMLINUX_H__ */
"""
# bool, true and false are keywords from C23 on.
_BEFORE_C23 = "#if !defined(__STDC_VERSION__) || __STDC_VERSION__ < 202311L"


def dump_c(btf: Btf, *, kfuncs: bool = True) -> str:
    """Return all types of *btf* as a C header with the include guard `__VMLINUX_H__`.

    With *kfuncs*, functions that carry the declaration tag `bpf_kfunc` (pahole 1.26 and newer
    write it) get weak extern prototypes, which the C program can switch off by defining
    `BPF_NO_KFUNC_PROTOTYPES`. It can
    define `BPF_NO_PRESERVE_ACCESS_INDEX` to leave CO-RE out. The output depends on nothing but
    the blob. Raises `BtfError` when types contain themselves.
    """
    return _Header(btf).dump(kfuncs)


def definition(btf: Btf, type_id: int) -> str:
    """Return the C definition of one type, body included, ending in a semicolon."""
    found = btf.type(type_id)
    header = _Header(btf)
    if isinstance(found, t.Typedef):
        return f"typedef {header.declare(found.type_id, identifier(found.name))};"
    if isinstance(found, t.Composite):
        return f"{header.composite(found, 0)};"
    if isinstance(found, t.Enum):
        return f"{header.enum(found, 0)};"
    return f"{declaration(btf, type_id)};"


class _Header(Speller):
    """The state of one dump."""

    def __init__(self, btf: Btf) -> None:
        super().__init__(btf)
        self.out: list[str] = []
        self.names: dict[int, str] = {}  # type id -> tag or typedef name, made unique
        self.enumerators: dict[int, list[str]] = {}  # enum id -> names, made unique
        self.state: dict[int, bool] = {}  # type id -> False being written, True written
        self.declared: set[str] = set()  # "struct x" that C has seen
        # Pointers, functions and anonymous structs whose needs are met.
        self.seen: set[int] = set()
        self.mentioned: set[int] = set()  # structs that `_declare_tag` has seen
        self.nesting = 0

    # -- the whole ------------------------------------------------------------------------

    def dump(self, kfuncs: bool) -> str:
        btf = self.btf
        try:
            ids = self._choose_names()
            for id_ in ids:
                self.budget = MAX_PARTS
                self._emit_type(btf.type(id_))
            for id_ in ids:
                found = btf.type(id_)
                # Anonymous enums nothing refers to hold constants.
                if isinstance(found, t.Enum) and not found.name and id_ not in self.state:
                    self._emit_enum(found)
            functions = self._kfuncs() if kfuncs else []
        except RecursionError:
            raise BtfError(f"BTF of {btf.name}: its types nest too deep") from None
        return "\n".join([_BEGIN, *self.out, *functions, _END])

    def _emit_type(self, found: t.Type) -> None:
        if isinstance(found, t.Composite):
            if found.name:
                self.define(found, _COMPLETE)
        elif isinstance(found, t.Enum):
            if found.name:
                self._emit_enum(found)
        elif isinstance(found, t.Typedef):
            self._emit_typedef(found)
        elif isinstance(found, t.Forward):
            self._declare_tag(found)

    def _choose_names(self) -> list[int]:
        """Give every named type and enumerator a name of its own; return the ids to write."""
        btf = self.btf
        ids = []
        forwards = []
        tags: dict[str, int] = {}
        idents: dict[str, int] = {}
        wanted = {4, 5, 6, 7, 8, 19}
        definitions: dict[tuple[str, bool], int] = {}
        for id_ in range(1, len(btf)):
            kind = btf.kind_of(id_)
            if kind not in wanted:
                continue
            found = btf.type(id_)
            ids.append(id_)
            if isinstance(found, t.Typedef):
                self.names[id_] = _unique(found.name, idents)
                continue
            if isinstance(found, t.Forward):
                forwards.append(found)
                continue
            if found.name:
                self.names[id_] = _unique(found.name, tags)
            if isinstance(found, t.Composite) and found.name:
                definitions.setdefault((found.name, kind == 5), id_)
            elif isinstance(found, t.Enum):
                self.enumerators[id_] = [_unique(name, idents) for name, _ in found.values]
        for forward in forwards:
            key = (forward.name, forward.is_union)
            same = definitions.get(key)
            if same is None:
                same = definitions[key] = forward.id
                self.names[same] = _unique(forward.name, tags)
            self.names[forward.id] = self.names[same]
        return ids

    # -- what has to come first -----------------------------------------------------------

    def need(self, type_id: int, strength: int) -> None:
        """Write whatever has to precede a use of *type_id* of this *strength*."""
        for _ in range(MAX_DEPTH):
            if not type_id or type_id in self.seen:
                return
            found = self.btf.type(type_id)
            if isinstance(found, t.Typedef):
                if not is_builtin(found):
                    self._emit_typedef(found)
                    if strength == _DECLARED:
                        return
            elif isinstance(found, t.Pointer):
                self.seen.add(type_id)
                strength = _DECLARED
            elif isinstance(found, t.Array):
                strength = max(strength, _ELEMENT)
            elif isinstance(found, t.FuncProto):
                self.seen.add(type_id)
                for _, param in found.params:
                    self.need(param, _DECLARED)
                strength = _DECLARED
            elif not isinstance(found, t.Modifier):
                self._need_base(found, strength)
                return
            type_id = found.type_id
        raise BtfError(f"BTF of {self.btf.name}: type {type_id} refers to itself")

    def _need_base(self, found: t.Type, strength: int) -> None:
        if isinstance(found, t.Composite):
            if not found.name:
                self._enter(found)
                for member in found.members:
                    self.need(member.type_id, _COMPLETE)
                self.nesting -= 1
                self.seen.add(found.id)
            elif strength == _DECLARED:
                self._declare_tag(found)
            else:
                self.define(found, strength)
        elif isinstance(found, t.Forward):
            self._declare_tag(found)
        elif isinstance(found, t.Enum):
            if found.name:
                self._emit_enum(found)
        elif isinstance(found, (t.Int, t.Float)):
            self._emit_number(found)

    def _enter(self, found: t.Type) -> None:
        self.nesting += 1
        self.budget -= 1
        if self.nesting > _MAX_NESTING or self.budget < 0:
            what = found.name or f"type {found.id}"
            raise BtfError(f"BTF of {self.btf.name}: {what} nests too deep, or contains itself")

    # -- writing --------------------------------------------------------------------------

    def define(self, found: t.Composite, strength: int) -> None:
        """Write a named struct or union, once, after what it needs."""
        done = self.state.get(found.id)
        if done is not None:
            if not done and strength == _COMPLETE:
                raise BtfError(f"BTF of {self.btf.name}: {self.base(found, 0)} contains itself")
            return
        self._enter(found)
        self.state[found.id] = False
        for member in found.members:
            self.need(member.type_id, _COMPLETE)
        self.state[found.id] = True
        self.nesting -= 1
        self.declared.add(self.base(found, 0))
        self.out.append(f"{self.composite(found, 0)};\n")

    def _declare_tag(self, found: t.Type) -> None:
        if found.id in self.mentioned:
            return
        self.mentioned.add(found.id)
        spelt = self.base(found, 0)
        if spelt not in self.declared:
            self.declared.add(spelt)
            self.out.append(f"{spelt};\n")

    def _emit_typedef(self, found: t.Typedef) -> None:
        done = self.state.get(found.id)
        if done is not None:
            if not done:
                raise BtfError(f"BTF of {self.btf.name}: typedef {found.name} refers to itself")
            return
        if is_builtin(found):
            return
        self._enter(found)
        self.state[found.id] = False
        name = self.names[found.id]
        self.need(found.type_id, _DECLARED)
        text = f"typedef {self.declare(found.type_id, name)};\n"
        self.out.append(f"{_BEFORE_C23}\n{text}#endif\n" if name == "bool" else text)
        self.state[found.id] = True
        self.nesting -= 1

    def _emit_enum(self, found: t.Enum) -> None:
        if found.id in self.state:
            return
        text = f"{self.enum(found, 0)};\n"
        names = self.enumerators[found.id]
        if "true" in names or "false" in names:
            text = f"{_BEFORE_C23}\n{text}#endif\n"
        self.out.append(text)

    def _emit_number(self, found: t.Int | t.Float) -> None:
        """Define an integer or float that C does not know by its name (Rust's, or arm64's)."""
        if found.name in BUILTIN or found.id in self.state:
            return
        self.state[found.id] = True
        name = identifier(found.name)
        plain = _PLAIN.get(found.size, "char")
        if isinstance(found, t.Int) and not found.signed:
            plain = f"unsigned {plain}"
        self.names[found.id] = name
        if f"number {name}" not in self.declared:
            self.declared.add(f"number {name}")
            self.out.append(f"typedef {plain} {name};\n")

    def _kfuncs(self) -> list[str]:
        btf = self.btf
        lines: list[str] = []
        done = set()
        for id_ in range(1, len(btf)):
            if btf.kind_of(id_) != t.Kind.DECL_TAG:
                continue
            tag = btf.type(id_)
            if not isinstance(tag, t.DeclTag) or tag.name != "bpf_kfunc":
                continue
            function = btf.type(tag.type_id)
            if not isinstance(function, t.Func) or function.name in done:
                continue
            done.add(function.name)
            self.need(function.type_id, _DECLARED)
            text = self.declare(function.type_id, identifier(function.name))
            lines.append(f'extern {text} __attribute__((weak, section(".ksyms")));')
        if lines:
            lines = ["#ifndef BPF_NO_KFUNC_PROTOTYPES", *lines, "#endif", ""]
        return lines

    # -- spelling -------------------------------------------------------------------------

    def base(self, found: t.Type, depth: int) -> str:
        name = self.names.get(found.id) or identifier(found.name)
        if isinstance(found, t.Typedef):
            return name
        if isinstance(found, t.Composite):
            if not name:
                return self.composite(found, depth)
            return f"{'union' if found.kind == t.Kind.UNION else 'struct'} {name}"
        if isinstance(found, t.Forward):
            return f"{'union' if found.is_union else 'struct'} {name}"
        if isinstance(found, t.Enum):
            if name:
                return f"enum {name}"
            if found.id in self.state:
                # Written inline before: its constants cannot be defined twice.
                plain = _PLAIN[found.size]
                return plain if found.signed else f"unsigned {plain}"
            return self.enum(found, depth)
        return super().base(found, depth)

    def attribute(self, found: t.TypeTag) -> str:
        if found.is_attribute or identifier(found.name) != found.name:
            return ""
        return f'__btf_type_tag("{found.name}")'

    def enum(self, found: t.Enum, depth: int) -> str:
        """Return an enum with its body."""
        self.state[found.id] = True
        name = self.names.get(found.id) or identifier(found.name)
        head = f"enum {name}" if name else "enum"
        if not found.values:
            return head
        labels = self.enumerators.get(found.id) or [identifier(n) for n, _ in found.values]
        values = [value for _, value in found.values]
        wide = max(values) >= 2 * _SMALL or min(values) < -_SMALL
        wide = wide or (min(values) < 0 and max(values) >= _SMALL)
        suffix = ("LL" if found.signed else "ULL") if wide else ""
        indent = "\t" * (depth + 1)
        pairs = zip(labels, values, strict=True)
        lines = [f"{indent}{label} = {_number(value, suffix)},\n" for label, value in pairs]
        mode = ""
        if found.size != (8 if wide else 4):
            mode = f" __attribute__((mode({_MODES[found.size]})))"
        return f"{head} {{\n{''.join(lines)}{indent[1:]}}}{mode}"

    def composite(self, found: t.Composite, depth: int) -> str:
        """Return a struct or union with its body, every offset as BTF has it."""
        self.budget -= 1 + len(found.members)
        if self.budget < 0:
            raise BtfError(f"BTF of {self.btf.name}: {found.name or 'a struct'} is too large")
        union = found.kind == t.Kind.UNION
        head = "union" if union else "struct"
        name = self.names.get(found.id) or identifier(found.name)
        if name:
            head += f" {name}"
        packed = self.btf.is_packed(found)
        align = self.btf.align_of(found.id)
        layout = self._union_lines if union else self._struct_lines
        indent = "\t" * (depth + 1)
        body = "".join(f"{indent}{line}\n" for line in layout(found, align, packed, depth + 1))
        attribute = " __attribute__((packed))" if packed else ""
        if not body:
            return f"{head} {{}}{attribute}"
        return f"{head} {{\n{body}{indent[1:]}}}{attribute}"

    def _member(self, member: t.Member, depth: int) -> str:
        text = self.declare(member.type_id, identifier(member.name), depth)
        return f"{text}: {member.bit_size};" if member.bit_size else f"{text};"

    def _union_lines(
        self, found: t.Composite, align: int, packed: bool, depth: int
    ) -> Iterable[str]:
        size = 0
        for member in found.members:
            own = -(-member.bit_size // 8) or self.btf.size_of(member.type_id)
            size = max(size, own)
            yield self._member(member, depth)
        if (size if packed else _up(size, align)) < found.size:
            # An unnamed bit-field cannot be wider than a long.
            yield f"char __skep_pad[{found.size}];"

    def _struct_lines(
        self, found: t.Composite, align: int, packed: bool, depth: int
    ) -> Iterable[str]:
        size_of = self.btf.size_of
        # Padding no wider than the struct's alignment leaves that as it is on every machine.
        unit = 8 if packed else min(align, 8)
        at = 0  # in bits, where the compiler is after what was written so far
        for member in found.members:
            wanted = member.bit_offset
            width = member.bit_size
            if wanted < at:
                yield f"/* {identifier(member.name)} overlaps what precedes it */"
                continue
            if width:
                boundary = self.btf.bit_field_unit(member)
                crosses = at % boundary + width > boundary
                natural = _up(at, boundary) if crosses and not packed else at
            else:
                width = 8 * size_of(member.type_id)
                natural = _up(at, 8 if packed else 8 * self.btf.align_of(member.type_id))
            if natural != wanted:
                yield from _padding(at, wanted, unit)
            yield self._member(member, depth)
            at = wanted + width
        if _up(at, 8 * align) != 8 * found.size:
            yield from _padding(at, 8 * found.size, unit)


def _unique(name: str, used: dict[str, int]) -> str:
    """Return *name* as an identifier not used before, with CO-RE's ___N suffix if need be."""
    name = identifier(name) or "unnamed"
    count = used[name] = used.get(name, 0) + 1
    return name if count == 1 else f"{name}___{count}"


def _number(value: int, suffix: str) -> str:
    # -2**63 and -2**31 are not C literals: the minus applies to a number that is too large.
    if value == -(1 << 63):
        return f"({value + 1}{suffix} - 1)"
    return f"{value}{suffix}"


def _up(number: int, align: int) -> int:
    return -(-number // align) * align


def _padding(at: int, to: int, unit: int) -> Iterable[str]:
    """Yield unnamed bit-fields from bit *at* to bit *to*, none crossing *unit* bytes."""
    bits = 8 * unit
    while at < to:
        step = min(to - at, bits - at % bits)
        if to - at > 64 * bits and not at % 8:
            whole = (to - at) // 8
            yield f"char __skep_pad_{at // 8}[{whole}];"
            at += 8 * whole
            continue
        yield f"{_PLAIN[unit]}: {step};"
        at += step
