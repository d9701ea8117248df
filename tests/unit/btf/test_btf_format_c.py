"""C output: exact text of small things, and what a real compiler makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skep.btf.btf import Btf
from skep.btf.format_c import declaration, definition, dump_c
from skep.btf.types import Composite, Kind
from skep.btf.writer import Builder
from skep.elf.reader import ElfFile
from skep.errors import BtfError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path


class World:
    def __init__(self) -> None:
        self.b = Builder()
        self.int = self.b.int("int", 4, signed=True)
        self.char = self.b.int("char", 1, signed=True)
        self.long = self.b.int("long int", 8, signed=True)
        self.short = self.b.int("short unsigned int", 2)

    def array(self, of: int, length: int) -> int:
        return self.b.array(of, length, self.int)

    def btf(self) -> Btf:
        return Btf.from_bytes(self.b.build(), name="world")

    def types_text(self) -> str:
        """Return the dump without what comes before and after the types."""
        text = dump_c(self.btf())
        start = text.index("#define __btf_type_tag(tag)\n#endif\n#endif\n")
        return text[start + 43 : text.rindex("#ifndef BPF_NO_PRESERVE_ACCESS_INDEX")].strip()


def test_declarators() -> None:
    w = World()
    b = w.b
    node = b.struct("node", 0, [])
    pointer = b.pointer(node)
    const_char = b.pointer(b.const(w.char))
    handler = b.pointer(b.func_proto(w.int, [("", pointer), ("name", const_char), ("", 0)]))
    getter = b.func_proto(b.pointer(b.func_proto(0, [])), [("n", w.long)])
    union = b.forward("one", union=True)
    tagged = b.pointer(b.type_tag("user", w.char))
    cases = {
        w.int: "int x",
        pointer: "struct node *x",
        b.const(b.pointer(b.volatile(w.int))): "volatile int *const x",
        b.restrict(const_char): "const char *restrict x",
        w.array(b.const(w.int), 3): "const int x[3]",
        w.array(w.array(w.int, 2), 3): "int x[3][2]",
        b.pointer(w.array(w.int, 2)): "int (*x)[2]",
        w.array(pointer, 4): "struct node *x[4]",
        handler: "int (*x)(struct node *, const char *name, ...)",
        w.array(handler, 2): "int (*x[2])(struct node *, const char *name, ...)",
        b.pointer(getter): "void (*(*x)(long int n))(void)",
        b.pointer(0): "void *x",
        b.pointer(union): "union one *x",
        b.enum("e", []): "enum e x",
        b.typedef("u8", w.char): "u8 x",
        tagged: 'char __attribute__((btf_type_tag("user"))) *x',
        b.struct("", 4, [("a", w.int, 0)]): "struct (anonymous) x",
    }
    btf = w.btf()
    assert {id_: declaration(btf, id_, "x") for id_ in cases} == cases
    assert declaration(btf, handler) == "int (*)(struct node *, const char *name, ...)"


def test_a_definition_with_all_sorts_of_members() -> None:
    w = World()
    b = w.b
    inner = b.struct("", 8, [("a", w.int, 0), ("b", w.int, 32)])
    either = b.union("", 8, [("", inner, 0), ("c", w.long, 0)])
    id_ = b.struct(
        "s",
        48,
        [
            ("low", w.int, 0, 3),
            ("high", w.int, 3, 5),
            ("far", w.int, 20, 2),
            ("", either, 64),
            ("named", inner, 128),
            ("late", w.char, 256),
            ("tail", w.array(w.char, 0), 264),
        ],
    )
    expected = """\
struct s {
	int low: 3;
	int high: 5;
	long: 12;
	int far: 2;
	union {
		struct {
			int a;
			int b;
		};
		long int c;
	};
	struct {
		int a;
		int b;
	} named;
	long: 64;
	char late;
	char tail[0];
	long: 56;
	long: 64;
};"""
    assert definition(w.btf(), id_) == expected


def test_packed_and_over_aligned() -> None:
    w = World()
    packed = w.b.struct("p", 5, [("a", w.char, 0), ("b", w.int, 8)])
    crossing = w.b.struct("x", 8, [("a", w.short, 0), ("b", w.int, 16, 31), ("c", w.short, 48)])
    vast = w.b.struct("v", 8192, [("a", w.char, 0), ("b", w.long, 32768)])
    btf = w.btf()
    assert definition(btf, packed) == "struct p {\n\tchar a;\n\tint b;\n} __attribute__((packed));"
    lines = ["struct x {", "short unsigned int a;", "int b: 31;", "short unsigned int c;"]
    assert definition(btf, crossing) == "\n\t".join(lines) + "\n} __attribute__((packed));"
    assert "char __skep_pad_" in definition(btf, vast)


def test_order_conflicts_and_forward_declarations() -> None:
    w = World()
    b = w.b
    late = b.next_id + 3
    user = b.struct("user", 8, [("value", late, 0)])
    first = b.struct("twin", 8, [("next", b.pointer(late + 1), 0)])
    assert late == b.struct("late", 8, [("n", w.long, 0)])
    elsewhere = b.struct("elsewhere", 4, [("n", w.int, 0)])
    b.union("twin", 4, [("n", w.int, 0)])
    b.forward("unknown")
    b.forward("late")
    b.typedef("name", first)
    b.typedef("name", w.int)
    assert (user, elsewhere) == (late - 3, late + 1)
    assert (
        w.types_text()
        == """\
struct late {
	long int n;
};

struct user {
	struct late value;
};

struct elsewhere;

struct twin {
	struct elsewhere *next;
};

struct elsewhere {
	int n;
};

union twin___2 {
	int n;
};

struct unknown;

typedef struct twin name;

typedef int name___2;"""
    )


def test_enums() -> None:
    w = World()
    b = w.b
    b.enum("plain", [("A", 0), ("B", -1)])
    b.enum("", [("A", 0x80000000)], signed=False)
    b.enum("tiny", [("T", 1)], size=1)
    b.enum64("wide", [("W", 1 << 40)])
    b.enum64("low", [("L", -(1 << 63))])
    b.enum("later", [])
    b.enum("", [("false", 0), ("true", 1)])
    b.typedef("bool", b.int("_Bool", 1, is_bool=True))
    assert (
        w.types_text()
        == """\
enum plain {
	A = 0,
	B = -1,
};

enum tiny {
	T = 1,
} __attribute__((mode(byte)));

enum wide {
	W = 1099511627776ULL,
};

enum low {
	L = (-9223372036854775807LL - 1),
};

enum later;

#if !defined(__STDC_VERSION__) || __STDC_VERSION__ < 202311L
typedef _Bool bool;
#endif

enum {
	A___2 = 2147483648,
};

#if !defined(__STDC_VERSION__) || __STDC_VERSION__ < 202311L
enum {
	false = 0,
	true = 1,
};
#endif"""
    )


def test_names_c_cannot_have() -> None:
    w = World()
    b = w.b
    u8 = b.int("u8", 1)
    b.struct("core::Option<u8>", 2, [("0", u8, 0), ("int", u8, 8)])
    assert (
        w.types_text()
        == """\
typedef unsigned char u8;

struct core__Option_u8_ {
	u8 _0;
	u8 int_;
};"""
    )


def test_the_compiler_s_own_typedef_is_seen_through() -> None:
    w = World()
    b = w.b
    tag = b.struct("__va_list_tag", 8, [("area", b.pointer(0), 0)])
    b.typedef("va_list", b.typedef("__builtin_va_list", w.array(tag, 1)))
    assert w.types_text().endswith("typedef struct __va_list_tag va_list[1];")
    assert "__builtin" not in dump_c(w.btf())


def test_kfunc_prototypes() -> None:
    w = World()
    b = w.b
    task = b.struct("task", 4, [("n", w.int, 0)])
    proto = b.func_proto(b.pointer(task), [("t", b.pointer(task)), ("n", w.int)])
    b.decl_tag("bpf_kfunc", b.func("bpf_task_get", proto))
    b.func("not_a_kfunc", proto)
    text = dump_c(w.btf())
    line = "extern struct task *bpf_task_get(struct task *t, int n) __attribute__((weak,"
    assert f"#ifndef BPF_NO_KFUNC_PROTOTYPES\n{line}" in text
    assert "not_a_kfunc" not in text
    assert "bpf_task_get" not in dump_c(w.btf(), kfuncs=False)


@pytest.mark.parametrize("kind", [Kind.STRUCT, Kind.TYPEDEF])
def test_types_that_contain_themselves_are_refused(kind: Kind) -> None:
    w = World()
    itself = w.b.next_id
    if kind == Kind.STRUCT:
        w.b.struct("s", 8, [("again", itself, 0)])
    else:
        w.b.typedef("t", w.b.next_id + 1)
        w.b.pointer(itself)
    with pytest.raises(BtfError, match=r"itself|too deep"):
        dump_c(w.btf())


def same(ours: Btf, theirs: Btf, left: Composite, right: Any) -> None:
    """Compare a struct with what the compiler says of its C text."""
    assert isinstance(right, Composite)
    assert (left.kind, left.size) == (right.kind, right.size)
    kept = [m for m in right.members if not m.name.startswith("__skep_pad")]
    for mine, its in zip(left.members, kept, strict=True):
        expected = (mine.name, mine.bit_offset, mine.bit_size)
        assert expected == (its.name, its.bit_offset, its.bit_size), left.name
        inner = ours.strip(mine.type_id)
        if isinstance(inner, Composite) and not inner.name:
            same(ours, theirs, inner, theirs.strip(its.type_id))


def recompiled(btf: Btf, ids: Iterable[int], compile_bpf: Callable[..., Path], target: str) -> Btf:
    """Return the BTF a compiler makes of a dump in which every type of *ids* is used."""
    uses = [f"{declaration(btf, id_, f'*use_{id_}')};" for id_ in ids]
    elf: Any = ElfFile.from_path(
        str(compile_bpf("\n".join([dump_c(btf), *uses, ""]), target=target))
    )
    return Btf.from_bytes(elf.data(elf.section(".BTF")), name="recompiled")


SIZES = {"char": 1, "short unsigned int": 2, "int": 4, "long int": 8}


@st.composite
def layouts(draw: st.DrawFn) -> list[tuple[str, int, int]]:
    """Return members as (type name, bits or 0, gap in bits before) that make sense in C."""
    member = st.tuples(
        st.sampled_from(sorted(SIZES)),
        st.one_of(st.just(0), st.integers(1, 64)),
        st.sampled_from([0, 0, 0, 1, 8, 13, 64, 200]),
    )
    return draw(st.lists(member, min_size=1, max_size=10))


@pytest.mark.parametrize("target", ["bpfel", "bpfeb"])
@given(st.lists(layouts(), min_size=40, max_size=40), st.booleans())
@settings(
    max_examples=2,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
def test_a_compiler_lays_out_what_was_dumped(
    compile_bpf: Callable[..., Path],
    target: str,
    structs: list[list[tuple[str, int, int]]],
    packed: bool,
) -> None:
    w = World()
    ids = {"char": w.char, "short unsigned int": w.short, "int": w.int, "long int": w.long}
    made = []
    for number, members in enumerate(structs):
        at, align = 0, 1
        described: list[tuple[str, int, int] | tuple[str, int, int, int]] = []
        for i, (name, bits, gap) in enumerate(members):
            size = SIZES[name]
            width = min(bits, 8 * size)
            at += gap
            if not width:
                step = 8 if packed else 8 * size
                at += -at % step
                described.append((f"m{i}", ids[name], at))
                at += 8 * size
            else:
                if not packed and at % (8 * size) + width > 8 * size:
                    at += -at % (8 * size)
                described.append((f"m{i}", ids[name], at, width))
                at += width
            align = 1 if packed else max(align, size)
        at += -at % (8 * align)
        id_ = w.b.struct(f"s{number}", at // 8, described)
        made.append(id_)
        anonymous = w.b.struct("", at // 8, described)
        outer = [("before", w.char, 0), ("", anonymous, 64), ("after", w.char, 64 + at)]
        made.append(w.b.struct(f"outer{number}", at // 8 + 16, outer))
    btf = w.btf()
    theirs = recompiled(btf, made, compile_bpf, target)
    for id_ in made:
        found = btf.type(id_)
        assert isinstance(found, Composite)
        same(btf, theirs, found, theirs.find_type(found.name, Kind.STRUCT))
