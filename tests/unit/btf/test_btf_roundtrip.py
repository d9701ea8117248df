"""Writer to parser for every kind and both byte orders; damaged blobs raise only `BtfError`."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from skep.btf.btf import Btf
from skep.btf.codec import codec
from skep.btf.format_c import declaration, definition, dump_c
from skep.btf.header import is_split
from skep.btf.types import Composite, Kind
from skep.btf.writer import Builder
from skep.errors import BtfError, RangeError, UnsupportedError

NAMES = st.one_of(
    st.sampled_from(["a", "int", "task", "é", "core::Option<u8>", "struct"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8),
)
U32 = st.integers(0, 0xFFFFFFFF)
ANY_ID = st.integers(0, 12)
ORDERS = st.sampled_from(["little", "big"])
BITS24 = st.integers(0, 0xFFFFFF)
MEMBERS = st.lists(st.tuples(st.one_of(st.just(""), NAMES), ANY_ID, BITS24, st.integers(0, 255)))
S64 = st.integers(-(1 << 63), (1 << 63) - 1)
S32 = st.integers(-(1 << 31), (1 << 31) - 1)


# Machines differ in speed; and explaining a failure traces every line, for minutes.
CALM = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[phase for phase in Phase if phase != Phase.explain],
)


def call(method: str, *args: st.SearchStrategy[Any], **kwargs: st.SearchStrategy[Any]) -> Any:
    return st.tuples(st.just(method), st.tuples(*args), st.fixed_dictionaries(kwargs))


INTS = st.sampled_from([1, 2, 4, 8, 16]).flatmap(
    lambda size: call(
        "int",
        NAMES,
        st.just(size),
        signed=st.booleans(),
        is_char=st.booleans(),
        is_bool=st.booleans(),
        bits=st.integers(1, 8 * size),
    )
)
ENUM_SIZES = st.sampled_from([1, 2, 4, 8])
KINDS = st.one_of(
    INTS,
    call("float", NAMES, st.sampled_from([2, 4, 8, 12, 16])),
    call("enum", NAMES, st.lists(st.tuples(NAMES, S32)), size=ENUM_SIZES, signed=st.just(True)),
    call("enum", NAMES, st.lists(st.tuples(NAMES, U32)), size=ENUM_SIZES, signed=st.just(False)),
    call("enum64", NAMES, st.lists(st.tuples(NAMES, S64)), size=ENUM_SIZES, signed=st.just(True)),
    call("pointer", ANY_ID),
    call("typedef", NAMES, ANY_ID),
    call("const", ANY_ID),
    call("volatile", ANY_ID),
    call("restrict", ANY_ID),
    call("type_tag", NAMES, ANY_ID, attribute=st.booleans()),
    call("decl_tag", NAMES, ANY_ID, st.integers(-1, 100), attribute=st.booleans()),
    call("forward", NAMES, union=st.booleans()),
    call("array", ANY_ID, U32, ANY_ID),
    call("struct", st.one_of(st.just(""), NAMES), U32, MEMBERS),
    call("union", st.one_of(st.just(""), NAMES), st.integers(0, 64), MEMBERS),
    call("func_proto", ANY_ID, st.lists(st.tuples(NAMES, ANY_ID))),
    call("func", NAMES, ANY_ID, st.integers(0, 2)),
    call("var", NAMES, ANY_ID, st.integers(0, 2)),
    call("datasec", NAMES, U32, st.lists(st.tuples(ANY_ID, U32, U32))),
)


def plain(found: Any) -> Any:
    """Return what a type object holds, without its blob."""
    names = [n for c in type(found).__mro__ for n in getattr(c, "__slots__", ())]
    values = {n: getattr(found, n) for n in names if n != "btf"}
    if "members" in values:
        values["members"] = [
            (m.name, m.type_id, m.bit_offset, m.bit_size) for m in values["members"]
        ]
    return type(found).__name__, int(found.kind), values


@given(st.lists(KINDS, min_size=1, max_size=12), ORDERS)
@settings(CALM, max_examples=100)
def test_what_is_written_is_read(kinds: list[Any], order: str) -> None:
    builder = Builder(order)
    ids = [getattr(builder, method)(*args, **kwargs) for method, args, kwargs in kinds]
    btf = Btf.from_bytes(builder.build())
    assert btf.byteorder == order
    assert ids == list(range(1, len(btf)))
    for id_, (method, args, kwargs) in zip(ids, kinds, strict=True):
        _, kind, values = plain(btf.type(id_))
        assert Kind(kind).name.lower().replace("ptr", "pointer").replace("fwd", "forward") == method
        for name, value in kwargs.items():
            own = {"attribute": "is_attribute", "union": "is_union"}.get(name, name)
            assert values[own] == value
        if method in {"struct", "union"}:
            assert (values["name"], values["size"], values["members"]) == args
        elif method in {"enum", "enum64"}:
            assert (values["name"], list(values["values"])) == args
        elif method == "func_proto":
            assert (values["type_id"], list(values["params"])) == args
        elif method == "datasec":
            assert (values["name"], values["size"], list(values["variables"])) == args
        elif method == "array":
            assert (values["type_id"], values["length"], values["index_type_id"]) == args
        else:
            for value in args:
                assert value in values.values()
        if values["name"]:
            assert id_ in btf.find(values["name"])
            assert id_ in btf.find(values["name"], kind)
    # A copy of every type is the same blob again, in either order.
    for other in ("little", "big"):
        copy = Builder(other)
        for found in btf.types():
            copy.add(found, lambda id_: id_)
        copied = Btf.from_bytes(copy.build())
        assert [plain(x) for x in copied.types()] == [plain(x) for x in btf.types()]
        if other == order:
            assert copied.raw == btf.raw


@given(st.lists(KINDS, min_size=1, max_size=6), st.lists(KINDS, min_size=1, max_size=8), ORDERS)
@settings(CALM, max_examples=100)
def test_what_continues_a_base_is_read(below: list[Any], above: list[Any], order: str) -> None:
    lower = Builder(order)
    for method, args, kwargs in below:
        getattr(lower, method)(*args, **kwargs)
    base = Btf.from_bytes(lower.build(), name="base")
    upper = Builder(order, base=base)
    ids = [getattr(upper, method)(*args, **kwargs) for method, args, kwargs in above]
    split = Btf.from_bytes(upper.build(), base=base)
    assert is_split(split.raw)
    assert ids == list(range(len(base), len(split)))
    assert [plain(split.type(id_)) for id_ in range(len(base))] == [
        plain(base.type(id_)) for id_ in range(len(base))
    ]
    # The same types in one blob are the same types.
    whole = Builder(order)
    for method, args, kwargs in below + above:
        getattr(whole, method)(*args, **kwargs)
    joined = Btf.from_bytes(whole.build())
    assert [plain(found) for found in split.types()] == [plain(joined.type(id_)) for id_ in ids]
    for id_ in ids:
        name = split.type(id_).name
        if name:
            assert split.find(name) == joined.find(name)


@given(st.lists(KINDS, min_size=1, max_size=12), ORDERS, st.data())
@settings(CALM, max_examples=60)
def test_the_walk_as_far_as_needed_sees_the_same(
    kinds: list[Any], order: str, data: st.DataObject
) -> None:
    """The kernel's own BTF is not walked to the end, and each of its names is there once."""
    builder = Builder(order)
    for method, args, kwargs in kinds:
        getattr(builder, method)(*args, **kwargs)
    raw = builder.build()
    whole, lazy = Btf.from_bytes(raw), Btf.from_bytes(raw, trusted=True)
    for id_ in data.draw(st.permutations(range(len(whole)))):
        assert plain(lazy.type(id_)) == plain(whole.type(id_))
        assert lazy.kind_of(id_) == whole.kind_of(id_)


def use_everything(data: bytes) -> None:
    """Do all that can be done with a blob, expecting `BtfError` at most."""
    try:
        btf = Btf.from_bytes(data, name="damaged")
    except BtfError:
        return
    for id_ in range(len(btf) + 1):
        for action in (btf.type, btf.strip, btf.size_of, btf.align_of, btf.kind_of):
            try:
                action(id_)
            except BtfError:
                continue
        try:
            found = btf.type(id_)
            btf.find(found.name)
            declaration(btf, id_, "x")
            definition(btf, id_)
            if isinstance(found, Composite):
                btf.is_packed(found)
        except BtfError:
            pass
        try:
            made = codec(btf, id_)
            if made.size < 10_000:
                value = made.unpack(bytes(made.size))
                made.pack(value)
        except (BtfError, UnsupportedError):
            pass
    with suppress(BtfError):
        dump_c(btf)


@given(st.lists(KINDS, min_size=1, max_size=12), ORDERS)
@settings(CALM, max_examples=150)
def test_senseless_types_raise_only_btf_errors(kinds: list[Any], order: str) -> None:
    builder = Builder(order)
    for method, args, kwargs in kinds:
        getattr(builder, method)(*args, **kwargs)
    use_everything(builder.build())


@given(
    st.lists(KINDS, min_size=1, max_size=12),
    ORDERS,
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8),
    st.floats(0, 1),
)
@settings(CALM, max_examples=200)
def test_damaged_blobs_raise_only_btf_errors(
    kinds: list[Any], order: str, damage: list[tuple[float, int]], cut: float
) -> None:
    builder = Builder(order)
    for method, args, kwargs in kinds:
        getattr(builder, method)(*args, **kwargs)
    data = bytearray(builder.build())
    for where, value in damage:
        data[int(where * len(data))] = value
    use_everything(bytes(data))
    use_everything(bytes(data[: int(cut * len(data))]))


@given(st.binary(max_size=200))
@settings(CALM, max_examples=100)
def test_noise_raises_only_btf_errors(noise: bytes) -> None:
    use_everything(noise)
    use_everything(b"\x9f\xeb\x01\0\x18\0\0\0" + noise)


def test_nested_twice_at_every_level_ends() -> None:
    """Types that hold one another twice describe 2**20 members in a few bytes."""
    for named in ("", "s"):
        builder = Builder()
        last = builder.int("int", 4, signed=True)
        for level in range(20):
            label = f"{named}{level}" if named else ""
            last = builder.struct(label, 4, [("", last, 0), ("", last, 0)])
        proto = last
        for _ in range(20):
            pointer = builder.pointer(proto)
            proto = builder.func_proto(0, [("a", pointer), ("b", pointer)])
        builder.typedef("f", proto)
        use_everything(builder.build())


def test_the_writer_refuses_what_the_format_cannot_hold() -> None:
    builder = Builder()
    with pytest.raises(RangeError, match="cannot contain NUL"):
        builder.string("a\0b")
    with pytest.raises(RangeError, match="does not fit 32 bits"):
        builder.pointer(1 << 32)
    with pytest.raises(RangeError, match="ends at 65535"):
        builder.struct("s", 0, [("m", 1, 0)] * 65536)
    with pytest.raises(RangeError, match="300 bits at bit 0"):
        builder.struct("s", 0, [("m", 1, 0, 300)])
    with pytest.raises(RangeError, match="does not fit 64 bits"):
        builder.enum64("e", [("A", 1 << 64)])
    with pytest.raises(RangeError, match="void is not"):
        builder.add(Btf.from_bytes(builder.build()).type(0), lambda id_: id_)
