"""Layouts as rows and as text; two side by side; what there is to say about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from object_types import types_of

from skep.btf.abi import ABIS, abi
from skep.btf.btf import Btf
from skep.btf.layout import Layout, layout, side_by_side
from skep.btf.layout_check import check
from skep.btf.writer import Builder
from skep.errors import NotFoundError

if TYPE_CHECKING:
    from compiling import CompileBpf

    from skep.btf.layout_check import Finding, Role

SOURCE = """// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <skep/bpf.h>

struct flow {
	__u32 saddr;
	__u16 port;
	__u8 proto;
	__u64 cookie;
	unsigned ok:1;
	unsigned code:5;
	unsigned :0;
	__u8 last;
};

struct inner {
	char kind;
	__s16 value;
};

struct outer {
	struct inner list[2];
	union {
		__u64 number;
		struct { __u8 a; __u32 b; } pair;
	};
	char name[100];
	void (*call)(int);
} __attribute__((aligned(16)));

struct packed {
	__u8 a;
	__u32 b;
	struct { __u8 c; __u64 d; } __attribute__((packed)) in[2];
} __attribute__((packed));

struct words {
	long number;
	void *owner;
	__u64 at;
};

struct wide {
	__u32 pid;
	__u64 ns;
};

typedef __u64 __attribute__((aligned(8))) __aligned_u64;
typedef unsigned long uint64_t;

struct explicit {
	__u32 pid;
	__u32 pad;
	uint64_t ns;
	__aligned_u64 more;
};

union choice {
	__u8 small;
	__u64 large;
};

struct choosing {
	union choice one;
};

struct good {
	__u64 a;
	__u32 b;
	char name[4];
};

struct kernels {
	struct task_struct __attribute__((btf_type_tag("kptr"))) *task;
};

struct flow flow; struct outer outer; struct packed packed; struct words words; struct wide wide;
struct explicit explicit; struct choosing choosing; struct good good; struct kernels kernels;
"""


@pytest.fixture(scope="module")
def types(compile_bpf: CompileBpf) -> Btf:
    return types_of(compile_bpf(SOURCE))


def of(types: Btf, name: str, arch: str = "", *, expand: bool = True) -> Layout:
    return layout(types, types.find_type(name).id, arch, expand=expand)


def about(types: Btf, name: str, role: Role = "type") -> list[tuple[str, str]]:
    return [(each.severity, each.rule) for each in findings(types, name, role)]


def findings(types: Btf, name: str, role: Role = "type") -> list[Finding]:
    return check(types, types.find_type(name).id, role=role)


FLOW = """\
struct flow {               /* offset   size */
    __u32 saddr;            /*      0      4 */
    __u16 port;             /*      4      2 */
    __u8 proto;             /*      6      1 */
    /* hole */              /*      7      1 */
    __u64 cookie;           /*      8      8 */
    unsigned int ok:1;      /*   16:0  1 bit */
    unsigned int code:5;    /*   16:1 5 bits */
    /* hole */              /*   16:6 26 bits */
    __u8 last;              /*     20      1 */
    /* padding */           /*     21      3 */
};
/* size 24, alignment 8, 1 cache line, 7 members */
/* members take 134 bits; 1 hole of 1 byte, 1 bit hole of 26 bits, padding of 3 bytes */
/* bit-fields take 6 bits */
/* moved by an attribute: last */"""


def squeezed(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_a_layout_reads_like_c(types: Btf) -> None:
    found = of(types, "flow")
    assert squeezed(str(found)) == squeezed(FLOW)
    assert (found.size, found.alignment, found.packed, found.word) == (24, 8, False, 8)
    assert [(row.kind, row.offset, row.size) for row in found.gaps] == [
        ("hole", "7", "1"),
        ("hole", "16:6", "26 bits"),
        ("padding", "21", "3"),
    ]
    assert found.summary() == {
        "size": 24,
        "alignment": 8,
        "members": 7,
        "member_bits": 134,
        "bit_field_bits": 6,
        "holes": 1,
        "hole_bytes": 1,
        "bit_holes": 1,
        "bit_hole_bits": 26,
        "padding_bits": 24,
        "inner_gaps": 0,
        "forced_alignments": 1,
        "cache_lines": 1,
    }
    assert found.asdict()["rows"][4] == {
        "name": "cookie",
        "type_name": "__u64",
        "bit_offset": 64,
        "bit_size": 64,
        "depth": 0,
        "kind": "member",
        "bit_field": False,
        "count": 1,
    }


def test_what_is_inside_is_shown_where_it_is_asked_for(types: Btf) -> None:
    closed, open_ = of(types, "outer", expand=False), of(types, "outer")
    assert [row.name for row in closed.rows if row.depth == 0] == ["list", "", "name", "", "call"]
    assert [row.text for row in closed.rows if row.name == "list"] == ["struct inner list[2]"]
    assert not any(row.name == "value" for row in closed.rows)
    (value,) = (row for row in open_.rows if row.name == "value")
    assert (value.depth, value.bit_offset, value.bit_size) == (1, 16, 16)
    (head,) = (row for row in open_.rows if row.name == "list")
    assert (head.count, head.head, head.bit_size) == (2, "struct inner", 64)
    assert open_.alignment == 8  # no offset shows that it was aligned to more
    lines = squeezed(str(open_))
    assert "} list[2]; /* 0 8 */" in lines
    assert "void (*call)(int); /* 120 8 */" in lines
    assert "/* -- cache line 1 (at 64), 52 bytes ago -- */" in lines
    assert lines[-1] == "/* members take 124 bytes; 1 hole of 4 bytes, 2 gaps inside members */"


def test_what_is_no_struct_is_one_row(types: Btf) -> None:
    found = of(types, "__u32")
    assert [(row.name, row.type_name, row.bit_size) for row in found.rows] == [("", "__u32", 32)]
    assert squeezed(str(found))[0] == "__u32; /* 0 4 */"


def test_other_architectures(types: Btf) -> None:
    def offsets(name: str, arch: str) -> list[int]:
        return [row.bit_offset // 8 for row in of(types, name, arch).rows if row.name]

    assert offsets("words", "i386") == offsets("words", "arm") == [0, 4, 8]
    assert [of(types, "words", arch).size for arch in ("x86_64", "i386", "arm")] == [24, 16, 16]
    assert offsets("wide", "i386") == [0, 4]
    assert offsets("wide", "arm") == [0, 8]
    # uint64_t is a long here, and stays 64 bits where long is not; __aligned_u64 stays aligned.
    assert offsets("explicit", "i386") == offsets("explicit", "x86_64") == [0, 4, 8, 16]
    assert of(types, "explicit", "i386").alignment == 8
    assert of(types, "packed", "arm").size == 23
    assert of(types, "words", "aarch64").arch == "arm64"
    with pytest.raises(NotFoundError, match="'vax'") as caught:
        of(types, "words", "vax")
    assert all(name in caught.value.hint for name in ABIS)
    assert abi("AMD64") is abi("x86_64")


def test_side_by_side_marks_what_differs(types: Btf) -> None:
    text = side_by_side(of(types, "wide"), of(types, "wide", "i386"), titles=("here", "there"))
    lines = squeezed(text)
    assert lines[0] == "here there"
    assert lines[1] == "struct wide, 16 bytes struct wide, 12 bytes"
    assert lines[3:] == [
        "0 4 __u32 pid 0 4 __u32 pid",
        "! 4 4 (hole) |",
        "! 8 8 __u64 ns | 4 8 __u64 ns",
    ]
    same = side_by_side(of(types, "wide"), of(types, "wide"), titles=("a", "b"))
    assert "!" not in same


def test_keys_with_holes_are_errors(types: Btf) -> None:
    assert about(types, "good", "key") == []
    assert about(types, "wide", "key") == [("error", "hole-in-key"), ("error", "word-size")]
    assert about(types, "wide", "value") == [("error", "word-size"), ("note", "hole")]
    first, second = findings(types, "wide", "key")
    assert "4 bytes at 4" in first.message
    assert "__builtin_memset" in first.fix
    assert str(second) == (
        "error: struct wide has 16 bytes on 64 bits, 12 on i386: "
        "member ns is at 8, on i386 at 4 [word-size]"
    )
    assert second.members == ("ns",)
    assert "__aligned_u64" in second.fix
    assert about(types, "explicit", "key") == []


def test_words_and_pointers_depend_on_the_machine(types: Btf) -> None:
    (finding,) = findings(types, "words", "value")
    assert (finding.severity, finding.rule) == ("error", "word-size")
    assert finding.members == ("number", "owner", "at")
    assert "use __u64 instead of long and pointers" in finding.fix
    # What user space never sees is no mistake.
    assert about(types, "kernels", "value") == [("note", "word-size")]


def test_packing_unions_and_bit_fields(types: Btf) -> None:
    (finding,) = findings(types, "packed", "key")
    assert (finding.severity, finding.rule) == ("warning", "packed")
    assert finding.members == ("b", "in[0].d")
    assert "member b is at 1, unpacked at 4" in finding.message
    assert ("warning", "union-in-key") in about(types, "choosing", "key")
    assert about(types, "choosing", "value") == []
    assert ("note", "bit-fields") in about(types, "flow", "value")
    # A hole in one alternative of a union is covered by another.
    rules = [each.rule for each in findings(types, "outer", "key")]
    assert rules == ["hole-in-key", "word-size", "union-in-key"]


def test_side_by_side_marks_what_differs_in_sign_alone() -> None:
    made = []
    for signed in (False, True):
        b = Builder("little")
        number = b.int("long long", 8, signed=signed)
        text = b.array(b.int("char", 1, signed=signed), 8, number)
        inner = b.struct("inner", 16, [("same", text, 0), ("other", number, 64)])
        outer = b.struct("outer", 16, [("in", inner, 0)])
        made.append(layout(Btf.from_bytes(b.build()), outer))
    lines = side_by_side(*made, titles=("left", "right")).splitlines()
    assert [line.split()[-1] for line in lines if line.startswith("!")] == ["other"]
