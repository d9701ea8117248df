"""Objects to specs, in both byte orders, without a kernel."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from skep.asm.instruction import CALL, LD_IMM64, PSEUDO_CALL
from skep.btf import types as t
from skep.errors import BtfError, ElfError, NotFoundError, RangeError, SkepError, UnsupportedError
from skep.kernel.constants import MapFlags, MapType, ProgramType
from skep.object.spec import ObjectSpec

if TYPE_CHECKING:
    from pathlib import Path

    from compiling import CompileBpf

SOURCE = r"""
#include <skep/bpf.h>

struct event { __u32 pid; char comm[16]; };
struct pair { __u32 a; __u64 b; };

SKEP_RINGBUF(events, struct event, 4096);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, 1);
	__type(key, struct pair);
	__type(value, __u64);
} counts SEC(".maps");

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, __u32);
} inner1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 4);
	__type(key, __u32);
	__array(values, struct inner);
} outer SEC(".maps") = { .values = { [2] = &inner1 } };

static struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 12);
	__uint(max_entries, 1);
} hidden SEC(".maps");

const volatile __u64 min_us = 7;
volatile const char label[8] = "abc";
int counter;
struct pair pairs[2] = { { 1, 2 }, { 3, 4 } };
static volatile int local_var = -3;
__u32 elsewhere SEC(".data.mine") = 9;

static __attribute__((noinline)) int leaf(int x) { return x * local_var; }
static __attribute__((noinline)) int branch(int x) { return leaf(x) + leaf(x + 1) + counter; }
__attribute__((noinline)) int visible(int x) { return branch(x) + min_us; }
__attribute__((noinline, visibility("hidden"))) int concealed(int x) { return leaf(x) - 1; }

SEC("socket") int first(struct __sk_buff *skb)
{
	struct pair key = { .a = 1 };
	__u64 one = 1;
	__u32 zero = 0;

	bpf_map_update_elem(&counts, &key, &one, 0);
	bpf_map_update_elem(&hidden, &zero, pairs, 0);
	return branch(3) + visible(4);
}

SEC("?tp/sched/sched_switch") int second(void *ctx) { return concealed(elsewhere) + label[1]; }
SEC("socket") int third(struct __sk_buff *skb) { return 3; }
SEC("mystery") int fourth(void *ctx) { return 4; }

int wanted_version SEC("version") = 0x050800;
char LICENSE[] SEC("license") = "GPL";
"""


@pytest.fixture(params=["bpfel", "bpfeb"])
def spec(request: pytest.FixtureRequest, compile_bpf: CompileBpf) -> ObjectSpec:
    return ObjectSpec.from_file(compile_bpf(SOURCE, target=request.param))


def test_the_object(spec: ObjectSpec) -> None:
    assert spec.license == "GPL"
    assert spec.kernel_version == 0x050800
    assert spec.btf is not None
    assert spec.byteorder == spec.btf.byteorder
    assert list(spec.programs) == ["first", "third", "second", "fourth"]


def test_maps(spec: ObjectSpec) -> None:
    counts = spec.maps["counts"]
    assert counts.type == MapType.HASH
    assert (counts.key_size, counts.value_size, counts.max_entries) == (16, 8, 64)
    assert (counts.flags, counts.pinning) == (MapFlags.NO_PREALLOC, "by_name")
    assert spec.btf is not None
    assert spec.btf.type(counts.key_type_id).name == "pair"
    hidden = spec.maps["hidden"]
    assert (hidden.key_size, hidden.value_size, hidden.key_type_id) == (4, 12, 0)


def test_a_ring_buffer_keeps_the_type_of_its_records(spec: ObjectSpec) -> None:
    events = spec.maps["events"]
    assert events.type == MapType.RINGBUF
    assert events.btf is not None
    assert events.btf.type(events.value_type_id).name == "event"
    assert (events.max_entries, events.key_size, events.value_size) == (4096, 0, 0)


def test_maps_in_maps(spec: ObjectSpec) -> None:
    outer = spec.maps["outer"]
    assert outer.inner is not None
    assert (outer.inner.type, outer.inner.max_entries) == (MapType.ARRAY, 3)
    assert outer.initial == [(2, "inner1")]


def test_data_sections_are_maps(spec: ObjectSpec) -> None:
    rodata, data = spec.maps[".rodata"], spec.maps[".data"]
    assert rodata.frozen
    assert not data.frozen
    assert rodata.flags == MapFlags.MMAPABLE | MapFlags.RDONLY_PROG
    assert data.flags == MapFlags.MMAPABLE
    assert spec.btf is not None
    section = spec.btf.type(data.value_type_id)
    assert isinstance(section, t.DataSec)
    # What the compiler left open is filled in, in the order the kernel wants.
    assert section.size == data.value_size
    offsets = [offset for _, offset, _ in section.variables]
    assert offsets == sorted(offsets)
    assert len(set(offsets)) == len(offsets)


def test_variables(spec: ObjectSpec) -> None:
    values = {name: variable.value for name, variable in spec.variables.items()}
    assert values["min_us"] == 7
    assert values["label"] == "abc"
    assert values["counter"] == 0
    assert values["local_var"] == -3
    assert values["elsewhere"] == 9
    assert [tuple(pair) for pair in values["pairs"]] == [(1, 2), (3, 4)]
    assert spec.variables["min_us"].constant
    assert spec.variables["elsewhere"].section == ".data.mine"
    spec.variables["min_us"] = 1 << 40
    spec.variables["counter"] = -1
    assert spec.variables["min_us"].value == 1 << 40
    assert spec.variables["counter"].value == -1
    assert spec.variables["label"].value == "abc"


def test_a_variable_that_does_not_exist_or_fit(spec: ObjectSpec) -> None:
    with pytest.raises(NotFoundError, match=r"no variable 'min_ms'.*min_us"):
        spec.variables["min_ms"] = 1
    with pytest.raises(RangeError):
        spec.variables["counter"] = 1 << 31


def test_names_that_do_not_exist_suggest_others(spec: ObjectSpec) -> None:
    with pytest.raises(NotFoundError, match=r"no map 'count'.*counts"):
        spec.maps["count"]
    with pytest.raises(NotFoundError, match="no program 'frist'"):
        spec.programs["frist"]


def test_lists_of_names_leave_out_what_nobody_declared(spec: ObjectSpec) -> None:
    assert {"events_ledger", ".rodata", ".bss"} <= set(spec.maps)
    with pytest.raises(NotFoundError) as caught:
        spec.maps["zzzzzz"]
    assert caught.value.hint == "there are counts, events, hidden, inner1, outer"
    with pytest.raises(NotFoundError, match=r"no map 'hiden' \(there is hidden\)"):
        spec.maps["hiden"]
    with pytest.raises(NotFoundError, match=r"no map 'rodata' \(there are .rodata, "):
        spec.maps["rodata"]
    del spec.maps["events"]
    with pytest.raises(NotFoundError, match="events_ledger"):  # then it is a map like others
        spec.maps["zzzzzz"]


def test_a_missing_file_whose_source_is_there_can_be_built(tmp_path: Path) -> None:
    missing = tmp_path / "x.bpf.o"
    with pytest.raises(NotFoundError) as caught:
        ObjectSpec.from_file(missing)
    assert caught.value.hint == ""
    source = tmp_path / "x.bpf.c"
    source.write_text("")
    with pytest.raises(NotFoundError) as caught:
        ObjectSpec.from_file(missing)
    assert caught.value.message == f"there is no object file {missing}"
    assert caught.value.hint == f"compile it: skep build {source}"


def test_programs(spec: ObjectSpec) -> None:
    second = spec.programs["second"]
    assert second.type == ProgramType.TRACEPOINT
    assert (second.section, second.attach_to) == ("?tp/sched/sched_switch", "sched/sched_switch")
    assert not second.autoload
    assert spec.programs["first"].autoload
    assert spec.programs["fourth"].type == ProgramType.UNSPEC
    assert not spec.programs["fourth"].autoload
    assert len(spec.programs["third"].code) == 2
    assert spec.programs["first"].license == "GPL"


def test_called_functions_follow_depth_first(spec: ObjectSpec) -> None:
    code = spec.programs["first"].code
    assert spec.btf is not None
    names = [spec.btf.type(func).name for _, func in code.functions]
    assert names == ["first", "branch", "leaf", "visible"]
    starts = {index for index, _ in code.functions}
    calls = [
        index + instruction.imm + 1
        for index, instruction in enumerate(code.instructions())
        if instruction.opcode == CALL and instruction.src == PSEUDO_CALL
    ]
    assert len(calls) == 5
    assert set(calls) == starts - {0}
    assert [index for index, *_ in code.lines] == sorted(index for index, *_ in code.lines)


def test_references_name_maps_and_places(spec: ObjectSpec) -> None:
    code = spec.programs["first"].code
    found = {(reference.kind, reference.name) for reference in code.references}
    assert found == {
        ("map", "counts"), ("map", "hidden"),
        ("data", ".data"), ("data", ".bss"), ("data", ".rodata"),
    }  # fmt: skip
    for reference in code.references:
        assert code.data[reference.index * 8] == LD_IMM64


def test_a_hidden_function_is_static_for_the_verifier(spec: ObjectSpec) -> None:
    assert spec.btf is not None
    linkage = {f.name: f.linkage for f in spec.btf.types() if isinstance(f, t.Func)}
    assert linkage["visible"] == 1
    assert linkage["concealed"] == 0
    assert linkage["leaf"] == 0


def test_a_copy_is_independent(spec: ObjectSpec) -> None:
    copy = spec.copy()
    copy.variables["counter"] = 5
    copy.maps["counts"].max_entries = 1
    copy.programs["first"].autoload = False
    assert spec.variables["counter"].value == 0
    assert spec.maps["counts"].max_entries == 64
    assert spec.programs["first"].autoload


def test_both_byte_orders_mean_the_same(compile_bpf: CompileBpf) -> None:
    little, big = (
        ObjectSpec.from_file(compile_bpf(SOURCE, target=target)) for target in ("bpfel", "bpfeb")
    )
    assert list(little.programs) == list(big.programs)
    for name, program in little.programs.items():
        other = big.programs[name].code
        assert len(program.code.functions) == len(other.functions), name
        assert {r.name for r in program.code.references} == {r.name for r in other.references}
    # Neither program computes anything that the compiler could do ahead of time in another way.
    for name in ("third", "fourth"):
        assert little.programs[name].code.instructions() == big.programs[name].code.instructions()
    for name, spec in little.maps.items():
        assert repr(spec) == repr(big.maps[name])
    assert {n: v.value for n, v in little.variables.items()} == {
        n: v.value for n, v in big.variables.items()
    }


def test_a_foreign_byte_order_is_not_loaded(compile_bpf: CompileBpf) -> None:
    import sys

    foreign = "bpfeb" if sys.byteorder == "little" else "bpfel"
    spec = ObjectSpec.from_file(compile_bpf(SOURCE, target=foreign))
    with pytest.raises(UnsupportedError, match="-endian, this machine is not"):
        spec.load()


def test_files_that_are_none(tmp_path: object) -> None:
    with pytest.raises(NotFoundError, match=r"no object file .*nowhere\.o"):
        ObjectSpec.from_file(f"{tmp_path}/nowhere.o")
    with pytest.raises(ElfError, match="not an ELF file"):
        ObjectSpec.from_bytes(b"#!/bin/sh\n")
    with open("/proc/self/exe", "rb") as python, pytest.raises(ElfError, match="no relocatable"):
        ObjectSpec.from_bytes(python.read(), "python")


BAD_MAPS = [
    ("__uint(max_entries, 1); __type(key, __u32); __type(value, __u32);", "has no type"),
    ("__uint(type, BPF_MAP_TYPE_HASH); __uint(colour, 3);", "unknown member 'colour'"),
    ("__uint(type, BPF_MAP_TYPE_HASH); __uint(key_size, 8); __type(key, __u32);", "key_size"),
    ("__uint(type, BPF_MAP_TYPE_HASH); __uint(pinning, 7);", "unknown pinning 7"),
    ("__uint(type, BPF_MAP_TYPE_HASH); int max_entries;", "'max_entries' that carries no number"),
    ("__uint(type, BPF_MAP_TYPE_HASH); int key;", "'key' that is no pointer"),
    ("__uint(type, BPF_MAP_TYPE_RINGBUF); __type(key, __u32);", "ring buffer and has a key"),
]


@pytest.mark.parametrize(("members", "reason"), BAD_MAPS, ids=[reason for _, reason in BAD_MAPS])
def test_a_map_that_is_not_understood_is_named(
    members: str, reason: str, compile_bpf: CompileBpf
) -> None:
    source = f'#include <skep/bpf.h>\nstruct {{ {members} }} odd SEC(".maps");\n'
    with pytest.raises(BtfError, match=reason) as caught:
        ObjectSpec.from_file(compile_bpf(source))
    assert "map 'odd'" in caught.value.message


def test_nothing_but_our_errors_escapes(compile_bpf: CompileBpf) -> None:
    """A thousand damaged copies: cut short, or with bytes and words overwritten."""
    data = compile_bpf(SOURCE).read_bytes()
    chance = random.Random(20260)
    reasons = []
    for _ in range(1000):
        damaged = bytearray(data)
        if chance.random() < 0.2:
            del damaged[chance.randrange(len(damaged)) :]
        else:
            for _ in range(chance.randrange(1, 8)):
                at = chance.randrange(len(damaged))
                word = chance.choice((b"\0", b"\xff", b"\xff\xff\xff\xff", b"\0\0\0\x80", b"\x01"))
                damaged[at : at + len(word)] = word
        try:
            ObjectSpec.from_bytes(damaged, "damaged")
        except SkepError as error:
            reasons.append(error.message)
    assert len(reasons) > 100
    assert all(reasons)
