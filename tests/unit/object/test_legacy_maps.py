"""Maps of objects from before BTF: plain structs in `maps` sections, in their three lengths."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from skep.elf.reader import STT_FUNC, STT_OBJECT, ElfFile
from skep.errors import ElfError
from skep.kernel.constants import MapType
from skep.object.spec import ObjectSpec

if TYPE_CHECKING:
    from compiling import CompileBpf

HEAD = """
#include <skep/bpf.h>
#define SAMPLES unsigned int inner_map_idx, numa_node;
#define IPROUTE2 unsigned int id, pinning, inner_id, inner_idx;
struct bpf_map_def { unsigned int type, key_size, value_size, max_entries, map_flags; MORE };
SEC("socket") int nothing(struct __sk_buff *skb) { return 0; }
"""
PLAIN = """
struct bpf_map_def SEC("maps") counts = {
	.type = BPF_MAP_TYPE_HASH, .key_size = 4, .value_size = 8, .max_entries = 16,
};
struct bpf_map_def SEC("maps/slots") slots = {
	.type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 2, .max_entries = 3, .map_flags = 64,
};
struct ____btf_map_counts { __u32 key; __u64 value; } ____btf_map_counts;
"""


def parsed(
    compile_bpf: CompileBpf, source: str, more: str = "", target: str = "bpfel"
) -> ObjectSpec:
    return ObjectSpec.from_file(compile_bpf(HEAD.replace("MORE", more) + source, target=target))


@pytest.mark.parametrize("more", ["", "SAMPLES", "IPROUTE2", "char unknown_but_zero[4];"])
@pytest.mark.parametrize("target", ["bpfel", "bpfeb"])
def test_all_lengths(compile_bpf: CompileBpf, more: str, target: str) -> None:
    spec = parsed(compile_bpf, PLAIN, more, target)
    counts, slots = spec.maps["counts"], spec.maps["slots"]
    assert (counts.type, counts.key_size, counts.value_size) == (MapType.HASH, 4, 8)
    assert (slots.type, slots.value_size, slots.max_entries, slots.flags) == (2, 2, 3, 64)
    assert counts.btf is not None
    assert counts.btf.type(counts.value_type_id).name == "__u64"
    assert (counts.pinning, counts.inner, counts.initial) == ("none", None, [])


def test_an_unknown_tail_is_refused(compile_bpf: CompileBpf) -> None:
    source = PLAIN.replace(".max_entries = 16", ".max_entries = 16, .odd = 1")
    with pytest.raises(ElfError, match="definition of map 'counts' in section 'maps' has 24") as e:
        parsed(compile_bpf, source, "unsigned int odd;")
    assert e.value.evidence["map"] == "counts"


def test_the_length_of_the_samples(compile_bpf: CompileBpf) -> None:
    source = """
struct bpf_map_def SEC("maps") inner = {
	.type = BPF_MAP_TYPE_HASH, .key_size = 4, .value_size = 4, .max_entries = 7,
};
struct bpf_map_def SEC("maps") outer = {
	.type = BPF_MAP_TYPE_ARRAY_OF_MAPS, .key_size = 4, .value_size = 4, .max_entries = 2,
	.inner_map_idx = 0, .numa_node = 0,
};
"""
    outer = parsed(compile_bpf, source, "SAMPLES").maps["outer"]
    assert outer.inner is not None
    assert (outer.inner.type, outer.inner.max_entries) == (MapType.HASH, 7)
    wrong = source.replace(".max_entries = 7", ".max_entries = 7, .inner_map_idx = 1")
    with pytest.raises(ElfError, match="definition of map 'inner' in section 'maps' has 28"):
        parsed(compile_bpf, wrong, "SAMPLES")


def test_the_seven_words_of_aya(compile_bpf: CompileBpf) -> None:
    """They are as many as the samples', and the last is a node only with the flag for it."""
    more = "unsigned int id, pinning;"
    source = PLAIN.replace(".max_entries = 16", ".max_entries = 16, .pinning = 1")
    counts = parsed(compile_bpf, source, more).maps["counts"]
    assert (counts.pinning, counts.numa_node) == ("by_name", 0)
    node = source.replace(".pinning = 1", ".map_flags = BPF_F_NUMA_NODE, .pinning = 1")
    counts = parsed(compile_bpf, node, more).maps["counts"]
    assert (counts.pinning, counts.numa_node) == ("none", 1)
    odd = source.replace(".pinning = 1", ".pinning = 2")
    with pytest.raises(ElfError, match="definition of map 'counts' in section 'maps' has 28"):
        parsed(compile_bpf, odd, more)


def test_the_length_of_iproute2(compile_bpf: CompileBpf) -> None:
    source = """
struct bpf_map_def SEC("maps") inside = {
	.type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1,
	.id = 9, .inner_idx = 1,
};
struct bpf_map_def SEC("maps") outer = {
	.type = BPF_MAP_TYPE_ARRAY_OF_MAPS, .key_size = 4, .value_size = 4, .max_entries = 2,
	.inner_id = 9, .pinning = 2,
};
"""
    spec = parsed(compile_bpf, source, "IPROUTE2")
    outer = spec.maps["outer"]
    assert outer.initial == [(1, "inside")]
    assert outer.inner is not None
    assert outer.inner.max_entries == 1
    assert outer.pinning == "by_name"
    with pytest.raises(ElfError, match="definition of map 'outer'"):
        parsed(compile_bpf, source.replace(".pinning = 2", ".pinning = 7"), "IPROUTE2")


def test_sizes_that_may_be_left_out(compile_bpf: CompileBpf) -> None:
    source = """
struct bpf_map_def SEC("maps") outer = { .type = BPF_MAP_TYPE_ARRAY_OF_MAPS, .max_entries = 2 };
struct bpf_map_def SEC("maps") events = { .type = BPF_MAP_TYPE_PERF_EVENT_ARRAY };
"""
    maps = parsed(compile_bpf, source).maps
    assert {(each.key_size, each.value_size) for each in maps.values()} == {(4, 4)}


def test_symbols_without_types(compile_bpf: CompileBpf) -> None:
    """clang before version 9 gave functions and maps neither a type nor a size."""
    source = (
        PLAIN
        + """
__attribute__((noinline)) static int twice(int x) { return x * 2; }
__attribute__((noinline)) int visible(struct __sk_buff *skb) { return twice(skb != 0) + 1; }
SEC("socket/2") int looks(struct __sk_buff *skb)
{
	return bpf_map_lookup_elem(&counts, skb) ? visible(skb) : 7;
}
"""
    )
    path = compile_bpf(HEAD.replace("MORE", "") + source)
    data = bytearray(path.read_bytes())
    elf = ElfFile(data, path.name)
    table = elf.section(".symtab")
    assert table is not None
    for at in range(table.offset, table.offset + table.size, 24):
        if data[at + 4] & 15 in (STT_FUNC, STT_OBJECT):
            data[at + 4] &= 0xF0
            data[at + 16 : at + 24] = bytes(8)
    spec = ObjectSpec.from_bytes(bytes(data), path.name)
    whole = ObjectSpec.from_file(path)
    assert list(spec.programs) == list(whole.programs) == ["nothing", "looks"]
    assert spec.programs["looks"].code.data == whole.programs["looks"].code.data
    assert spec.maps["slots"].max_entries == 3


def test_a_definition_that_is_cut_off(compile_bpf: CompileBpf) -> None:
    source = 'unsigned int half[4] SEC("maps") = {2, 4, 4, 1};'
    with pytest.raises(ElfError, match="is cut off: map 'half' in section 'maps' has 16 bytes"):
        parsed(compile_bpf, source)
