"""Exchanges values of random types between BPF programs and skep.

For each type there is an array of them, a hash with them as keys, a program that writes one member
by member from a row of numbers, and one that reads all members into such a row. What the
C compiler makes of the expressions is the only truth here.
"""

from __future__ import annotations

import struct
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
from struct_types import Composite, definition, definitions

from skep.btf.codec import codec
from skep.btf.dtype import dtype
from skep.errors import UnsupportedError
from skep.kernel import bpf
from skep.object.spec import ObjectSpec

if TYPE_CHECKING:
    from pathlib import Path

    from struct_types import Leaf

    from skep.maps.map import Map
    from skep.object.object import Object

WORDS = 256  # in a row of numbers: leaves, twice where they have 16 bytes
_ROW = struct.Struct(f"<{WORDS}Q")

_HEAD = """// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <skep/bpf.h>

char LICENSE[] SEC("license") = "GPL";

struct row {{
	__u64 number[{words}];
}};

struct index {{
	__u32 at;
}};

#define ROWS(NAME) \\
	struct {{ \\
		__uint(type, BPF_MAP_TYPE_ARRAY); \\
		__uint(max_entries, {count}); \\
		__type(key, __u32); \\
		__uint(value_size, sizeof(struct row)); \\
	}} NAME SEC(".maps")

ROWS(given);
ROWS(seen);

#define MAPS(NAME) \\
	struct {{ \\
		__uint(type, BPF_MAP_TYPE_ARRAY); \\
		__uint(max_entries, {count}); \\
		__type(key, __u32); \\
		__type(value, struct NAME); \\
	}} values_##NAME SEC(".maps"); \\
	struct {{ \\
		__uint(type, BPF_MAP_TYPE_HASH); \\
		__uint(max_entries, {count}); \\
		__type(key, struct NAME); \\
		__type(value, __u32); \\
	}} keys_##NAME SEC(".maps")

"""
_PROGRAMS = """
MAPS({name});

SEC("syscall")
int put_{name}(struct index *context)
{{
	__u32 at = context->at;
	__u64 *in = bpf_map_lookup_elem(&given, &at);
	struct {name} *v = bpf_map_lookup_elem(&values_{name}, &at);

	if (!in || !v)
		return 1;
{put}	return bpf_map_update_elem(&keys_{name}, v, &at, BPF_ANY);
}}

SEC("syscall")
int get_{name}(struct index *context)
{{
	__u32 at = context->at;
	struct {name} *v = bpf_map_lookup_elem(&values_{name}, &at);
	__u64 *out = bpf_map_lookup_elem(&seen, &at);

	if (!out || !v)
		return 1;
{get}	return 0;
}}
"""


def source(types: list[Composite], count: int) -> str:
    """Return the C of programs and maps for *types*, called s0, s1, ..., with *count* rows."""
    parts = [_HEAD.format(words=WORDS, count=count), definitions()]
    for number, type_ in enumerate(types):
        name = f"s{number}"
        parts += [definition(type_, name), _PROGRAMS.format(
            name=name,
            put=_statements(list(type_.leaves("", 0, active=True)), _store),
            get=_statements(list(type_.leaves("", 0, active=False)), _load),
        )]  # fmt: skip
    return "".join(parts)


def _statements(leaves: list[Leaf], make: Any) -> str:
    lines, at = [], 0
    for leaf in leaves:
        lines.append(f"\t{make(leaf, f'v->{leaf.path[1:]}', at)}\n")
        at += leaf.words
    assert at <= WORDS
    return "".join(lines)


def _store(leaf: Leaf, where: str, at: int) -> str:
    number = leaf.number
    if number.kind == "float":
        return f"__builtin_memcpy(&{where}, &in[{at}], {number.size});"
    if number.kind == "pointer":
        return f"{where} = (void *)in[{at}];"
    if number.kind == "be":
        return f"{where} = __builtin_bswap{8 * number.size}(in[{at}]);"
    if number.size == 16:
        return f"{where} = ((unsigned __int128)in[{at + 1}] << 64) | in[{at}];"
    return f"{where} = in[{at}];"


def _load(leaf: Leaf, where: str, at: int) -> str:
    number = leaf.number
    if number.kind == "float":
        zero = f"out[{at}] = 0; " if number.size < 8 else ""
        return f"{zero}__builtin_memcpy(&out[{at}], &{where}, {number.size});"
    if number.kind == "be":
        return f"out[{at}] = __builtin_bswap{8 * number.size}({where});"
    if number.size == 16:
        high = f"(__u64)((unsigned __int128){where} >> 64)"
        return f"out[{at}] = (__u64){where}; out[{at + 1}] = {high};"
    return f"out[{at}] = (__u64){where};"


class Counts:
    """How much was compared."""

    def __init__(self) -> None:
        self.types = self.values = self.numbers = self.columns = 0

    def __str__(self) -> str:
        return (
            f"{self.types} types, {self.values} values each way ({self.numbers} numbers compared),"
            f" {self.columns} types as NumPy columns too"
        )


def exchange(path: Path, types: list[Composite], count: int, seed: int, counts: Counts) -> None:
    """Load the object *path* of *types* and exchange *count* values of each, both ways."""
    with ObjectSpec.from_file(str(path)).load() as loaded:
        for number, type_ in enumerate(types):
            try:
                _Exchange(loaded, f"s{number}", type_, count, Random(seed + number)).run(counts)
            except Exception as error:
                error.add_note(f"of the type {definition(type_, 'x')}")
                raise


class _Exchange:
    """The comparisons for one type."""

    def __init__(
        self, loaded: Object, name: str, type_: Composite, count: int, random: Random
    ) -> None:
        self.put, self.get = (loaded.programs[f"{what}_{name}"] for what in ("put", "get"))
        self.values: Map = loaded.maps[f"values_{name}"]
        self.keys: Map = loaded.maps[f"keys_{name}"]
        self.given, self.seen = loaded.maps["given"], loaded.maps["seen"]
        self.type = type_
        self.count = count
        self.wanted = [type_.value(random, 0) for _ in range(count)]
        self.rows = [list(type_.numbers(value, active=True)) for value in self.wanted]
        self.numbers = 0

    def run(self, counts: Counts) -> None:
        spec = self.values.spec
        assert spec.btf is not None
        made = codec(spec.btf, spec.value_type_id)
        try:
            columns = dtype(spec.btf, spec.value_type_id)
        except UnsupportedError:
            columns = None
        # Written by BPF: skep reads it, finds it as a key, and would have written the same bytes.
        for at, row in enumerate(self.rows):
            self.given[at] = _ROW.pack(*row, *[0] * (WORDS - len(row)))
            self._call(self.put, at)
        written = [self._seen(at) for at in range(self.count)]
        raw = self._raw()
        for at, value in enumerate(self.wanted):
            record = self.values[at]
            whole = self._equal(record, written[at], at)
            assert made.pack(value) == raw[at], f"value {at} is packed otherwise than BPF wrote it"
            assert raw[self.keys[value]] == raw[at]
            if whole:
                assert made.pack(record) == raw[at], f"value {at} is not packed as it was read"
                assert raw[self.keys[record]] == raw[at]
        if columns is not None:
            keys, read = self.values.read()
            assert read.dtype == columns
            for at, value in zip(keys.tolist(), read, strict=True):
                self._equal(value, written[at], at)
            counts.columns += 1
        # Written by skep: BPF reads it.
        self.values.clear()
        for at, value in enumerate(self.wanted):
            self.values[at] = value
        assert self._raw() == raw
        assert [self._seen(at) for at in range(self.count)] == written
        if columns is not None:
            self.values.clear()
            # What no member covers may be anything; of a union, a member not set is covered.
            filler = b"\0" if "union" in repr(self.type) else b"\xa5"
            column = np.frombuffer(filler * (self.count * columns.itemsize), columns).copy()
            for at, value in enumerate(self.wanted):
                _fill(column[at : at + 1], value)
            self.values.update(np.arange(self.count, dtype=np.uint32), column)
            assert self._raw() == raw
            assert [self._seen(at) for at in range(self.count)] == written
        counts.types += 1
        counts.values += self.count
        counts.numbers += self.numbers

    def _call(self, program: Any, at: int) -> None:
        assert program.test_run(ctx=at.to_bytes(4, "little"))[0] == 0

    def _seen(self, at: int) -> list[int]:
        """Return the numbers that BPF reads of value *at*."""
        self._call(self.get, at)
        found = list(_ROW.unpack(self.seen[at]))
        leaves = sum(leaf.words for leaf in self.type.leaves("", 0, active=False))
        return found[:leaves]

    def _equal(self, value: Any, numbers: list[int], at: int) -> bool:
        """Compare; return whether *value* has everything, which a str with a NUL in it may not."""
        found = list(self.type.numbers(value, active=False))
        leaves = [leaf for leaf in self.type.leaves("", 0, active=False) for _ in range(leaf.words)]
        whole = True
        wrong = []
        for leaf, number, other in zip(leaves, found, numbers, strict=True):
            if number is None:
                whole = whole and not other
            elif leaf.number.kind == "bool" and other > 1:
                whole = False  # no bool was stored there, and C does not say what it reads as
            elif leaf.number.kind == "float" and _is_nan(number, leaf) and _is_nan(other, leaf):
                whole = False  # a NaN need not stay the same NaN
            elif number != other:
                wrong.append(f"{leaf.path[1:]} is {other}, not {number}")
        assert not wrong, f"value {at}: {', '.join(wrong)}; skep reads {value!r}"
        self.numbers += len(found)
        return whole

    def _raw(self) -> list[bytes]:
        """Return the bytes of all values as the kernel has them, past all codecs."""
        size = self.values.spec.value_size
        found = []
        for at in range(self.count):
            buffer = bytearray(size)
            assert bpf.map_lookup(self.values.fd, at.to_bytes(4, "little"), buffer)
            found.append(bytes(buffer))
        return found


def _is_nan(number: int, leaf: Leaf) -> bool:
    form, integer = ("f", "I") if leaf.number.size == 4 else ("d", "Q")
    return bool(np.isnan(struct.unpack(f"<{form}", struct.pack(f"<{integer}", number))[0]))


def _fill(row: Any, value: Any) -> None:
    """Set one row of a structured column, member by member."""
    for name, one in value.items():
        if isinstance(one, dict):
            _fill(row[name], one)
        elif isinstance(one, tuple):
            _fill_array(row[name][0], one)
        elif isinstance(one, str):
            row[name][0] = one.encode("utf-8", "surrogateescape")
        elif isinstance(one, bytes):
            row[name][0] = np.frombuffer(one, np.uint8)
        elif row.dtype[name].kind == "V":
            signed = one < 0
            row[name][0] = np.void(one.to_bytes(16, "little", signed=signed))
        else:
            row[name][0] = one


def _fill_array(row: Any, values: tuple[Any, ...]) -> None:
    for at, one in enumerate(values):
        if isinstance(one, dict):
            _fill(row[at : at + 1], one)
        elif isinstance(one, tuple):
            _fill_array(row[at], one)
        elif isinstance(one, bytes):
            row[at] = np.frombuffer(one, np.uint8)
        elif isinstance(one, str):
            row[at] = one.encode("utf-8", "surrogateescape")
        elif row.dtype.kind == "V":
            row[at] = np.void(one.to_bytes(16, "little", signed=one < 0))
        else:
            row[at] = one
