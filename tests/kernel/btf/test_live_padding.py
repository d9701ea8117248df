"""Keys with padding: what skep writes is what a program with a zeroed key writes, byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import skep
from skep.errors import MissingKeyError
from skep.kernel import bpf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compiling import CompileBpf

    from skep.maps.map import Map

SOURCE = """// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <skep/bpf.h>

char LICENSE[] SEC("license") = "GPL";

struct hole {
	__u32 pid;
	__u8 flag;
	__u64 cookie;
	__u16 last;
};

struct bits {
	__u8 low:3;
	__u32 high:5;
	unsigned long long :0;
	__s16 tail;
};

struct inner {
	__u8 kind;
	__u32 value;
};

struct nested {
	struct inner list[2];
	union {
		__u8 small;
		__u64 large;
	};
	char name[5];
};

struct packed {
	__u8 kind;
	__u64 value;
	char name[3];
} __attribute__((packed));

#define MAP(NAME) \\
	struct { \\
		__uint(type, BPF_MAP_TYPE_HASH); \\
		__uint(max_entries, 8); \\
		__type(key, struct NAME); \\
		__type(value, __u32); \\
	} NAME##s SEC(".maps")

MAP(hole);
MAP(bits);
MAP(nested);
MAP(packed);

#define FILL(NAME, FILLER, ...) \\
	do { \\
		struct NAME key; \\
		__builtin_memset(&key, FILLER, sizeof(key)); \\
		__VA_ARGS__; \\
		bpf_map_update_elem(&NAME##s, &key, &one, BPF_ANY); \\
	} while (0)

SEC("syscall")
int zeroed(void *context)
{
	__u32 one = 1;

	FILL(hole, 0, key.pid = 7, key.flag = 255, key.cookie = -1ULL, key.last = 3);
	FILL(bits, 0, key.low = 5, key.high = 31, key.tail = -2);
	FILL(nested, 0, key.list[0].kind = 1, key.list[0].value = 2, key.list[1].kind = 3,
		key.list[1].value = 4, key.small = 5, key.name[0] = 'a', key.name[1] = 'b');
	FILL(packed, 0, key.kind = 9, key.value = 1ULL << 63, key.name[0] = 'z');
	return 0;
}

SEC("syscall")
int dirty(void *context)
{
	__u32 one = 1;

	FILL(hole, 0xa5, key.pid = 8, key.flag = 255, key.cookie = -1ULL, key.last = 3);
	return 0;
}
"""
KEYS: dict[str, dict[str, Any]] = {
    "holes": {"pid": 7, "flag": 255, "cookie": 2**64 - 1, "last": 3},
    "bitss": {"low": 5, "high": 31, "tail": -2},
    "nesteds": {
        "list": ({"kind": 1, "value": 2}, {"kind": 3, "value": 4}),
        "small": 5,
        "name": "ab",
    },
    "packeds": {"kind": 9, "value": 1 << 63, "name": "z"},
}


@pytest.fixture
def live(compile_bpf: CompileBpf) -> Iterator[skep.Object]:
    with skep.ObjectSpec.from_file(str(compile_bpf(SOURCE))).load() as loaded:
        yield loaded


def raw_keys(table: Map[Any, Any]) -> list[bytes]:
    """Return the keys of *table* as the kernel has them, past all codecs."""
    found: list[bytes] = []
    key = None
    while True:
        following = bytearray(table.spec.key_size)
        if not bpf.map_next_key(table.fd, key, following):
            return found
        key = bytes(following)
        found.append(key)


@pytest.mark.parametrize("name", KEYS)
def test_padding_is_written_as_zero(live: skep.Object, name: str) -> None:
    table, key = live.maps[name], KEYS[name]
    live.programs["zeroed"].test_run(ctx=bytes(8))
    (written,) = raw_keys(table)
    assert table[key] == 1
    assert table[next(iter(table))] == 1
    table.clear()
    table[key] = 2
    assert raw_keys(table) == [written]
    live.programs["zeroed"].test_run(ctx=bytes(8))  # the same entry, not a second one
    assert raw_keys(table) == [written]
    assert table[key] == 1


def test_padding_of_columns_is_zero(live: skep.Object) -> None:
    for name in ("holes", "packeds"):
        table = live.maps[name]
        live.programs["zeroed"].test_run(ctx=bytes(8))
        keys, values = table.read()
        (written,) = raw_keys(table)
        table.clear()
        table.update(keys, values)
        assert raw_keys(table) == [written]
        table.clear()
        # Rows that NumPy has filled member by member, over memory that was not zero.
        dirty = np.frombuffer(b"\xa5" * keys.itemsize, keys.dtype).copy()
        for member in keys.dtype.names or ():
            dirty[member] = keys[member]
        table.update(dirty, values)
        assert raw_keys(table) == [written]
        assert table.delete(dirty) == 1


def test_a_key_that_was_not_zeroed_is_another_key(live: skep.Object) -> None:
    table = live.maps["holes"]
    live.programs["dirty"].test_run(ctx=bytes(8))
    (key,) = table
    assert key.pid == 8
    with pytest.raises(MissingKeyError):
        table[key]
    assert raw_keys(table)[0].count(b"\xa5") == 3 + 6
