"""BTF made to cost as much as possible: never more than 256 MiB, nor more than seconds, for 1 MB.

Each input attacks one thing that is cheap to write down and dear to believe. `everything` looks at
a blob as no honest user would: all types, codecs and columns, and the whole C header.
"""

from __future__ import annotations

from struct import pack
from typing import TYPE_CHECKING, Any

import pytest
from measured import bounded

from skep.btf.agreement import leaves
from skep.btf.btf import Btf
from skep.btf.codec import codec
from skep.btf.dtype import dtype
from skep.btf.format_c import declaration, dump_c
from skep.btf.layout import Layout, layout, side_by_side
from skep.btf.layout_check import check
from skep.btf.tags import tags_of
from skep.btf.types import Composite
from skep.btf.writer import Builder
from skep.errors import SkepError

if TYPE_CHECKING:
    from collections.abc import Callable

MB = 1 << 20
FULL = MB - 4096  # leaves room for the header and a few strings


def quietly(function: Callable[..., Any], *args: Any) -> Any:
    try:
        return function(*args)
    except SkepError as error:
        return f"{type(error).__name__}: {error.message}"


def types(data: bytes) -> str:
    """Look at every type by itself."""
    btf = Btf.from_bytes(data, name="hostile")
    last: Any = ""
    for id_ in range(len(btf)):
        for action in (btf.type, btf.strip, btf.size_of, btf.align_of, btf.kind_of):
            found = quietly(action, id_)
            last = found if isinstance(found, str) else last
    for name in (".kconfig", ".ksyms", "a", "x"):
        quietly(btf.find, name)
    return f"{len(btf)} types; {last}"


def codecs(data: bytes) -> str:
    """Make the codec of every type, and columns of some."""
    btf = Btf.from_bytes(data, name="hostile")
    last = ""
    for id_ in range(1, len(btf)):
        made = quietly(codec, btf, id_)
        last = made if isinstance(made, str) else last
        if id_ < 50:
            quietly(dtype, btf, id_)
        found = quietly(btf.type, id_)
        if isinstance(found, Composite):
            quietly(btf.is_packed, found)
    return last


def header(data: bytes) -> str:
    """Write the C header, and some single declarations."""
    btf = Btf.from_bytes(data, name="hostile")
    for id_ in range(max(1, len(btf) - 20), len(btf)):
        quietly(declaration, btf, id_, "x")
    return str(quietly(dump_c, btf))[:200]


def everything(data: bytes) -> str:
    """Look at all of a blob, from three sides."""
    return "; ".join([types(data), codecs(data), header(data)])


def records(build: Callable[[Builder, int], object], *, size: int = FULL) -> bytes:
    """Build a blob by calling *build* with numbers until it has *size* bytes."""
    builder = Builder()
    builder.int("int", 4, signed=True)
    number = 0
    while True:
        build(builder, number)
        number += 1
        if 4 * len(builder._words) + len(builder._strings) > size:
            return builder.build()


def raw(words: list[int], strings: bytes) -> bytes:
    size = 4 * len(words)
    head = pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, size, size, len(strings))
    return head + pack(f"<{len(words)}I", *words) + strings


def many_typedefs() -> bytes:
    return raw([1, 8 << 24, 1] * 80_000, b"\0t\0")


def tails(words: Callable[[int], list[int]], *, item: int, strings: int = MB // 2) -> bytes:
    """Names that are tails of one long string: each type spells half a megabyte."""
    count = (FULL - strings) // (4 * item)
    every = [word for number in range(count) for word in words(1 + number % (strings // 2))]
    return raw(every, b"\0" + b"n" * (strings - 2) + b"\0")


def names_of_types() -> bytes:
    return tails(lambda at: [at, 7 << 24, 0], item=3)


def names_of_members() -> bytes:
    count = 40_000
    members = [word for n in range(count) for word in (1 + n, 0, 0)]
    strings = b"\0" + b"m" * 500_000 + b"\0"
    return raw([1, 4 << 24 | count, 0, *members], strings)


def names_beyond_latin() -> bytes:
    """One character outside the basic plane makes every character of a string take four bytes."""
    data = names_of_types()
    emoji = "\N{HONEYBEE}".encode()
    return data[: -1 - len(emoji)] + emoji + data[-1:]


def one_name_mentioned_often() -> bytes:
    strings = b"\0" + b"s" * 500_000 + b"\0"
    params = [word for _ in range(40_000) for word in (0, 1)]
    return raw([1, 4 << 24, 4, 0, 13 << 24 | 40_000, 0, *params, 2, 8 << 24, 2], strings)


def names_found_everywhere() -> bytes:
    strings = b"\0" + b"x\0" * 250_000
    return raw([1, 8 << 24, 0] * 40_000, strings)


def section_names_found_everywhere() -> bytes:
    strings = b"\0" + b".kconfig\0" * 55_000
    return raw([1, 15 << 24, 0] * 40_000, strings)


def deep_pointers() -> bytes:
    return records(lambda builder, _: builder.pointer(builder.next_id + 1))


def typedefs_in_a_circle() -> bytes:
    return records(lambda builder, _: builder.typedef("t", builder.next_id % 100 + 1), size=MB // 2)


def structs_in_themselves() -> bytes:
    return records(
        lambda builder, n: builder.struct(f"s{n}", 4, [("a", builder.next_id, 0)] * (n % 50))
    )


def arrays_of_themselves() -> bytes:
    return records(lambda builder, _: builder.array(builder.next_id, 0xFFFFFFFF, 1), size=MB // 2)


def arrays_of_arrays() -> bytes:
    return records(
        lambda builder, _: builder.array(builder.next_id - 1, 0xFFFFFFFF, 1), size=MB // 2
    )


def small_arrays_of_arrays() -> bytes:
    return records(
        lambda builder, _: builder.array(max(1, builder.next_id - 1), 2, 1), size=MB // 2
    )


def a_huge_array_of_structs() -> bytes:
    builder = Builder()
    number = builder.int("int", 4)
    inner = builder.struct("inner", 4, [("x", number, 0)])
    for _ in range(1000):
        array = builder.array(inner, 0xFFFFFFFF, number)
        builder.struct("outer", 0xFFFFFFFF, [("a", array, 0)])
        builder.array(inner, 0x3FFFFFFF, number)
        builder.array(number, 0x3FFFFFFF, number)
        empty = builder.struct("empty", 0, [])
        builder.array(empty, 0xFFFFFFFF, number)
    return builder.build()


def anonymous_in_anonymous() -> bytes:
    """Sixty-five thousand members dissolved into each of many thousand structs."""
    builder = Builder()
    number = builder.int("int", 4)
    leaf = builder.struct("", 4, [(f"m{n}", number, 0) for n in range(255)])
    branch = builder.struct("", 4, [("", leaf, 0)] * 250)
    for n in range(30_000):
        builder.struct(f"s{n % 10}", 4, [("", branch, 0)])
    return builder.build()


def anonymous_below_anonymous() -> bytes:
    builder = Builder()
    last = builder.int("int", 4)
    for level in range(63):
        last = builder.struct("", 4, [("", last, 0)] * 600 + [(f"a{level}", 1, 0)] * 600)
    return builder.build()


def many_members_of_one_struct() -> bytes:
    """A struct whose members are all the same anonymous one, with very many members."""
    builder = Builder()
    number = builder.int("int", 4)
    inner = builder.struct("", 4, [(f"m{n % 100}", number, 0) for n in range(30_000)])
    builder.struct("outer", 4, [("", inner, 0)] * 30_000)
    return builder.build()


def typedefs_of_one_enum() -> bytes:
    builder = Builder()
    enum = builder.enum("e", [(f"A{n % 100}", n) for n in range(40_000)])
    for n in range(50_000):
        builder.typedef(f"t{n % 100}", enum)
    return builder.build()


def typedefs_of_one_struct() -> bytes:
    builder = Builder()
    number = builder.int("int", 4)
    struct = builder.struct("s", 4, [(f"m{n}", number, 0) for n in range(20_000)])
    for n in range(45_000):
        builder.typedef(f"t{n % 100}", struct)
    return builder.build()


def empty_structs() -> bytes:
    return raw([1, 4 << 24, 0] * 85_000, b"\0t\0")


def long_enums() -> bytes:
    one = [1, 6 << 24 | 60_000, 4, *[1, 7] * 60_000]
    return raw(one * 2, b"\0A\0")


def a_long_section() -> bytes:
    rows = [word for n in range(60_000) for word in (1, n, 4)]
    return raw([1, 14 << 24, 0, 1, 1, 15 << 24 | 60_000, 0, *rows], b"\0v\0")


def more_items_than_there_are() -> bytes:
    return raw([1, 4 << 24 | 0xFFFF, 4] * 80_000, b"\0s\0")


def functions_that_take_functions() -> bytes:
    """Prototypes that mention the one before twice: twice as long at each step."""
    builder = Builder()
    last = builder.int("int", 4)
    for n in range(12_000):
        pointer = builder.pointer(last)
        last = builder.func_proto(pointer, [("a", pointer), ("b", pointer)])
        builder.typedef(f"f{n % 10}", last)
    return builder.build()


def qualifiers_without_end() -> bytes:
    builder = Builder()
    last = builder.int("int", 4)
    for _ in range(63):
        last = builder.const(builder.volatile(last))
    for n in range(40):
        builder.struct(f"s{n}", 4, [("m", last, 0)] * 1000)
    return builder.build()


def names_of_noise() -> bytes:
    return raw([1, 4 << 24, 4, 1, 8 << 24, 1], b"\0" + b"\xff\xfe:" * 300_000 + b"\0")


def long_names_in_arrays() -> bytes:
    builder = Builder()
    last = builder.struct("s" * 400_000, 4, [])
    for _ in range(20_000):
        builder.array(last, 3, last)
    return builder.build()


HOSTILE = [
    many_typedefs, names_of_types, names_of_members, names_beyond_latin, one_name_mentioned_often,
    names_found_everywhere, section_names_found_everywhere, deep_pointers, typedefs_in_a_circle,
    structs_in_themselves, arrays_of_themselves, arrays_of_arrays, small_arrays_of_arrays,
    a_huge_array_of_structs, anonymous_in_anonymous, anonymous_below_anonymous,
    many_members_of_one_struct, typedefs_of_one_enum, typedefs_of_one_struct, empty_structs,
    long_enums, a_long_section, more_items_than_there_are,
    functions_that_take_functions, qualifiers_without_end, names_of_noise, long_names_in_arrays,
]  # fmt: skip


@pytest.mark.parametrize("make", HOSTILE)
def test_no_blob_costs_much(make: Callable[[], bytes]) -> None:
    bounded(everything, make())


def laid_out(data: bytes) -> str:
    """Lay out, check and compare the last type of a blob, and look for tags."""
    btf = Btf.from_bytes(data, name="hostile")
    last = len(btf) - 1
    quietly(tags_of, btf)
    said = quietly(layout, btf, last)
    if isinstance(said, Layout):
        "\n".join(said.lines())
        other = quietly(layout, btf, last, "arm")
        if isinstance(other, Layout):
            side_by_side(said, other, titles=("left", "right"))
    for role in ("type", "key", "value"):
        quietly(lambda role=role: check(btf, last, role=role))
    quietly(leaves, btf, last)
    return str(said)[-200:]


def paths_of_long_names() -> bytes:
    b = Builder()
    number = b.int("u", 4)
    made = b.struct("s", 80_000, [("m", number, 32 * i) for i in range(20_000)])
    for depth in range(12):
        made = b.struct(f"t{depth}", 80_000, [(f"n{depth}" + "x" * 60_000, made, 0)])
    return b.build()


def doubled_by_empty_arrays() -> bytes:
    b = Builder()
    number = b.int("u", 4)
    made = b.struct("s", 8, [("p", b.pointer(0), 0)])
    for depth in range(28):
        none = b.array(made, 0, number)
        members = [("a", none, 0), ("b", none, 0), ("p", b.pointer(0), 0)]
        made = b.struct(f"t{depth}", 8, members)
    return b.build()


def many_words_like_tags() -> bytes:
    b = Builder()
    for number in range(100_000):
        b.string(f"skep:{number:x}")
    b.int("u", 4)
    return b.build()


def rows_of_one_name() -> bytes:
    b = Builder()
    number, long = b.int("u", 4), b.int("long", 8, signed=True)
    members = [("m", long if i % 2 else number, 64 * i) for i in range(60_000)]
    b.struct("s", 480_000, members)
    return b.build()


def unions_in_a_key() -> bytes:
    b = Builder()
    number, byte = b.int("u", 4), b.int("c", 1)
    either = b.union("either", 4, [("a", number, 0), ("b", byte, 0)])
    b.struct("s", 80_000, [(f"m{i % 9}", either, 32 * i) for i in range(20_000)])
    return b.build()


@pytest.mark.parametrize(
    "make",
    [
        paths_of_long_names, doubled_by_empty_arrays, many_words_like_tags, rows_of_one_name,
        unions_in_a_key,
    ],
)  # fmt: skip
def test_a_layout_costs_no_more_than_reading(make: Callable[[], bytes]) -> None:
    assert bounded(laid_out, make())
