"""BTF for queues: the value's type, all that it mentions, its tags, and an empty key."""

from __future__ import annotations

import sys

from skep.btf.btf import Btf
from skep.btf.codec import codec
from skep.btf.types import Kind
from skep.btf.writer import Builder
from skep.maps.types.unkeyed import blob


def test_only_what_the_value_mentions_is_kept() -> None:
    b = Builder(sys.byteorder)
    unrelated = b.struct("unrelated", 0, [])
    u32 = b.int("unsigned int", 4)
    u8 = b.int("unsigned char", 1)
    char = b.int("char", 1, signed=True, is_char=True)
    name = b.array(char, 8, u32)
    kinds = b.enum("kind", [("ONE", 1), ("TWO", 2)], size=4)
    node = b.next_id  # it points to itself
    b.struct("node", 32, [
        ("next", node + 1, 0), ("name", name, 64), ("kind", kinds, 128), ("flag", u8, 160),
        ("address", u32, 192),
    ])  # fmt: skip
    b.pointer(node)
    value = b.typedef("node_t", node)
    b.decl_tag("skep:ipv4", node, 4)
    b.decl_tag("other", unrelated, -1)
    whole = Btf.from_bytes(b.build(), name="whole")

    small = Btf.from_bytes(blob(whole, value), name="small")
    assert small.size_of(1) == 0
    assert small.type(2).name == "node_t"
    assert not small.find("unrelated", Kind.STRUCT)
    given = {"next": 7, "name": "abc", "kind": 2, "flag": 3, "address": "10.0.0.1"}
    packed = codec(small, 2).pack(given)
    assert packed == codec(whole, value).pack(given)
    assert codec(small, 2).unpack(packed) == codec(whole, value).unpack(packed)
    tags = [small.type(id) for id in range(1, len(small)) if small.kind_of(id) == Kind.DECL_TAG]
    assert [tag.name for tag in tags] == ["skep:ipv4"]
