"""Map definitions in all their forms, as the kernel sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import compiling
import pytest

from skep.errors import BtfError, NotFoundError
from skep.kernel.constants import MapFlags, MapType
from skep.kernel.cpus import possible_cpus
from skep.maps.spec import MapSpec
from skep.maps.types.nested import MapOfMaps
from skep.object.spec import ObjectSpec

if TYPE_CHECKING:
    from compiling import CompileBpf

COMPILERS = ["ziglang", "clang-19"]
HEAD = """
#include <skep/bpf.h>
char LICENSE[] SEC("license") = "GPL";
struct event { __u64 a; __u32 b; };
#define TAG(text) __attribute__((btf_decl_tag(text)))
#define MAP(kind, entries, k, v) \\
	__uint(type, BPF_MAP_TYPE_##kind); __uint(max_entries, entries); \\
	__type(key, k); __type(value, v);
"""


def load_shapes(compile_bpf: CompileBpf, source: str, compiler: str = "ziglang") -> ObjectSpec:
    return ObjectSpec.from_file(compile_bpf(HEAD + source, compiler=compiler))


@pytest.mark.parametrize("compiler", COMPILERS)
def test_members(compile_bpf: CompileBpf, compiler: str) -> None:
    spec = load_shapes(
        compile_bpf,
        """
struct { MAP(HASH, 8, __u32, struct event) } typed TAG("first") TAG("second") SEC(".maps");
static struct { MAP(HASH, 4, __u32, __u64) } hidden SEC(".maps");
struct { MAP(ARRAY, 2, __u32, __u64) __uint(map_flags, BPF_F_NUMA_NODE); __uint(numa_node, 0); }
	placed SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
	__uint(max_entries, 100);
	__type(value, __u32);
	__uint(map_extra, 3);
} bloom SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct event);
} storage SEC(".maps");
__weak struct { MAP(ARRAY, 1, __u32, __u32) } weak_one SEC(".maps");
struct { MAP(ARRAY, 1, __u32, __u32) } a_map_with_a_long_name SEC(".maps");
struct { MAP(ARRAY, 1, __u32, __u32) } a_map_with_a_long_name_too SEC(".maps");
SEC("socket") int stores(struct __sk_buff *skb)
{
	__u32 key = 1; __u64 value = 3;
	bpf_map_update_elem(&hidden, &key, &value, 0);
	return bpf_map_lookup_elem(&weak_one, &key) != 0;
}
""",
        compiler,
    )
    assert spec.maps["typed"].tags == ("first", "second")
    assert spec.maps["hidden"].tags == ()
    with spec.load() as live:
        assert live.programs["stores"].test_run().retval == 0
        assert dict(live.maps["hidden"].items()) == {1: 3}
        typed = live.maps["typed"]
        typed[7] = {"a": 1, "b": 2}
        assert typed[7].b == 2
        info = typed.info
        assert (info.key_size, info.value_size, info.max_entries) == (4, 16, 8)
        assert info.btf_key_type_id
        assert info.btf_value_type_id == spec.maps["typed"].value_type_id
        assert live.maps["placed"].info.flags & MapFlags.NUMA_NODE
        assert live.maps["bloom"].info.extra == 3
        names = {name: each.info.name for name, each in live.maps.items()}
    assert (
        names["a_map_with_a_long_name"] == names["a_map_with_a_long_name_too"] == "a_map_with_a_lo"
    )


@pytest.mark.parametrize("compiler", COMPILERS)
def test_a_record_type_where_the_kernel_wants_none(compile_bpf: CompileBpf, compiler: str) -> None:
    spec = load_shapes(
        compile_bpf,
        """
struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__type(value, struct event);
} typed SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(int));
	__uint(value_size, sizeof(int));
} plain SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
	__type(value, struct event);
} ring SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_CPUMAP); __uint(key_size, 4); __uint(value_size, 4); }
	cpus SEC(".maps");
SEC("socket") int nothing(struct __sk_buff *skb) { return 0; }
""",
        compiler,
    )
    for name in ("typed", "ring"):
        made = spec.maps[name]
        assert made.btf is not None
        assert made.btf.type(made.value_type_id).name == "event"
    with spec.load() as live:
        shapes = {
            name: (info.key_size, info.value_size, info.max_entries)
            for name, info in ((name, each.info) for name, each in live.maps.items())
        }
        live.maps["cpus"][0] = (64).to_bytes(4, "little")
    cpus = possible_cpus()
    assert shapes == {
        "typed": (4, 4, cpus), "plain": (4, 4, cpus), "ring": (0, 0, 4096), "cpus": (4, 4, cpus),
    }  # fmt: skip


@pytest.mark.parametrize("compiler", COMPILERS)
def test_maps_and_programs_in_maps(compile_bpf: CompileBpf, compiler: str) -> None:
    spec = load_shapes(
        compile_bpf,
        """
struct inner { MAP(ARRAY, 2, __u32, __u64) };
struct inner shown SEC(".maps");
static struct inner hidden SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 4);
	__type(key, __u32);
	__array(values, struct inner);
} outer SEC(".maps") = { .values = { [0] = &shown, [3] = (void *) &hidden } };
struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 4);
	__type(key, __u64);
	__array(values, struct { MAP(HASH, 3, __u64, __u64[2]) });
} by_hash SEC(".maps");
int target(struct __sk_buff *skb);
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 3);
	__uint(key_size, sizeof(__u32));
	__array(values, int (struct __sk_buff *));
} jumps SEC(".maps") = { .values = { [2] = &target } };
SEC("socket") int target(struct __sk_buff *skb) { return 77; }
SEC("socket") int jumps_there(struct __sk_buff *skb)
{
	__u32 key = 3, first = 1;
	void *found = bpf_map_lookup_elem(&outer, &key);
	__u64 *value = found ? bpf_map_lookup_elem(found, &first) : 0;

	if (value) *value = 99;
	bpf_tail_call(skb, &jumps, 2);
	return 1;
}
""",
        compiler,
    )
    assert spec.maps["outer"].initial == [(0, "shown"), (3, "hidden")]
    assert spec.maps["jumps"].initial == [(2, "target")]
    inner = spec.maps["by_hash"].inner
    assert inner is not None
    assert (inner.key_size, inner.value_size, inner.max_entries) == (8, 16, 3)
    with spec.load() as live:
        assert live.programs["jumps_there"].test_run().retval == 77
        assert dict(live.maps["hidden"].items()) == {0: 0, 1: 99}
        outer, by_hash = live.maps["outer"], live.maps["by_hash"]
        assert isinstance(outer, MapOfMaps)
        assert isinstance(by_hash, MapOfMaps)
        assert outer.ids() == {0: live.maps["shown"].id, 3: live.maps["hidden"].id}
        with MapSpec(
            name="more", type=MapType.HASH, key_size=8, value_size=16, max_entries=3
        ).create() as more:
            by_hash[5] = more
            assert by_hash.ids() == {5: more.id}
    spec.programs["target"].autoload = False
    with spec.load() as live:  # an empty slot: the tail call falls through
        assert live.programs["jumps_there"].test_run().retval == 1
    spec.maps["shown"].autocreate = False
    with pytest.raises(NotFoundError, match=r"map 'shown' of .* was not created"):
        spec.load()


def test_a_type_that_the_compiler_left_out(compile_bpf: CompileBpf) -> None:
    source = """
struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 4);
	__type(key, __u64);
	__array(values, struct { MAP(HASH, 3, __u64, struct event) });
} by_hash SEC(".maps");
"""
    with pytest.raises(BtfError, match=r"map 'by_hash.inner' has the value type 'event'") as caught:
        load_shapes(compile_bpf, source)
    assert "or give value_size" in caught.value.hint


def test_maps_nest_only_once(compile_bpf: CompileBpf) -> None:
    source = """
struct leaf { MAP(ARRAY, 1, __u32, __u32) };
struct middle {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 1); __type(key, __u32);
	__array(values, struct leaf);
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 1); __type(key, __u32);
	__array(values, struct middle);
} top SEC(".maps");
"""
    with pytest.raises(BtfError, match=r"map 'top.inner' holds maps itself, and .* only once"):
        load_shapes(compile_bpf, source)


def test_types_that_the_kernel_refuses_are_left_out(compile_bpf: CompileBpf) -> None:
    """A spin lock beside other special fields, or in a map type that takes none, has types only."""
    source = """
struct { MAP(LRU_HASH, 4, __u32, struct { struct bpf_spin_lock lock; __u32 value; }) }
	locked SEC(".maps");
"""
    spec = load_shapes(compile_bpf, source)
    with spec.load() as live:
        assert live.maps["locked"].info.btf_value_type_id == 0
        assert spec.maps["locked"].value_type_id


@pytest.mark.parametrize("compiler", COMPILERS)
def test_linked_objects(compiler: str) -> None:
    first = (
        HEAD
        + """
struct counts { MAP(HASH, 8, __u32, __u64) } counts SEC(".maps");
static struct { MAP(ARRAY, 1, __u32, __u64) } own SEC(".maps");
int helper(__u32 key);
SEC("socket") int start(struct __sk_buff *skb)
{
	__u32 key = 0; __u64 value = 5;
	bpf_map_update_elem(&own, &key, &value, 0);
	return helper(7);
}
"""
    )
    second = (
        HEAD.replace("char LICENSE", "static char LICENSE")
        + """
extern struct { MAP(HASH, 8, __u32, __u64) } counts __attribute__((section(".maps")));
static struct { MAP(ARRAY, 1, __u32, __u64) } own SEC(".maps");
int helper(__u32 key)
{
	__u32 zero = 0; __u64 value = 6;
	bpf_map_update_elem(&own, &zero, &value, 0);
	return bpf_map_update_elem(&counts, &key, &value, 0) + 42;
}
"""
    )
    second = second.replace('static char LICENSE[] SEC("license") = "GPL";', "")
    path = compiling.linked(first, second, compiler=compiler)
    with ObjectSpec.from_file(path).load() as live:
        assert live.programs["start"].test_run().retval == 42
        assert dict(live.maps["counts"].items()) == {7: 6}
        # Two static maps of one name.
        assert [live.maps[name][0] for name in ("own", "own.2")] == [5, 6]


@pytest.mark.parametrize("compiler", COMPILERS)
def test_data_sections(compile_bpf: CompileBpf, compiler: str) -> None:
    spec = load_shapes(
        compile_bpf,
        r"""
int counter SEC(".data.mine") = 5;
int other SEC(".bss.mine");
const volatile int constant SEC(".rodata.mine") = 7;
char text[64];
SEC("socket") int adds(struct __sk_buff *skb) { return counter++ + constant + other; }
SEC("socket") int writes(struct __sk_buff *skb)
{
	__u64 values[] = { 42 };
	return bpf_snprintf(text, sizeof(text), "value %d", values, sizeof(values));
}
""",
        compiler,
    )
    sections = {name: variable.section for name, variable in spec.variables.items()}
    assert sections["counter"] == ".data.mine"
    assert sections["other"] == ".bss.mine"
    assert sections["constant"] == ".rodata.mine"
    spec.variables["constant"] = 70
    spec.variables["other"] = 1000
    with spec.load() as live:
        assert live.programs["adds"].test_run().retval == 1075
        assert live.variables["counter"].value == 6
        assert live.programs["writes"].test_run().retval == len("value 42") + 1
        assert live.variables["text"].value == "value 42"


def test_strings_that_the_compiler_merged(compile_bpf: CompileBpf) -> None:
    """clang puts string literals into a section of their own, which is a map like any other."""
    spec = load_shapes(
        compile_bpf,
        r"""
char text[16] = "beta";
SEC("socket") int which(struct __sk_buff *skb)
{
	if (!bpf_strncmp(text, 4, "alph")) return 1;
	return bpf_strncmp(text, 4, "beta") ? 3 : 2;
}
""",
        "clang-19",
    )
    merged = spec.maps[".rodata.str1.1"]
    assert merged.frozen
    assert bytes(merged.contents or b"") in (b"alph\0beta\0", b"beta\0alph\0")
    with spec.load() as live:
        assert live.programs["which"].test_run().retval == 2
