"""Functions that the kernel calls back: exceptions, loops, iteration over maps, timers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from needs import need_function

from skep.object.spec import ObjectSpec

if TYPE_CHECKING:
    from compiling import CompileBpf

HEAD = '#include <skep/bpf.h>\nchar LICENSE[] SEC("license") = "GPL";\n'

EXCEPTIONS = (
    HEAD
    + r"""
void bpf_throw(__u64 cookie) __ksym;

__attribute__((noinline)) static int deep(int x)
{
	if (x > 100) bpf_throw(x);
	return x;
}

/* The length is the first member of struct __sk_buff. */
SEC("tc") int bare(struct __sk_buff *skb) { return deep(*(__u32 *) skb) + 1; }

int caught(__u64 cookie) { return cookie + 1000; }

SEC("tc") __attribute__((btf_decl_tag("exception_callback:caught")))
int handled(struct __sk_buff *skb) { return deep(*(__u32 *) skb) + 1; }
"""
)


@pytest.mark.parametrize("compiler", ["ziglang", "clang-19"])
def test_exceptions(compile_bpf: CompileBpf, compiler: str) -> None:
    need_function("bpf_throw", (6, 7))
    with ObjectSpec.from_file(compile_bpf(EXCEPTIONS, compiler=compiler)).load() as live:
        bare, handled = live.programs["bare"], live.programs["handled"]
        assert (bare.test_run(bytes(64)).retval, handled.test_run(bytes(64)).retval) == (65, 65)
        # An exception that nobody handles ends the program with what was thrown.
        assert bare.test_run(bytes(200)).retval == 200
        assert handled.test_run(bytes(200)).retval == 1200


CALLBACKS = (
    HEAD
    + r"""
struct value { struct bpf_timer timer; __u64 count; };
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct value);
} timers SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u64);
} numbers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
	__type(value, __u64);
} done SEC(".maps");

__u64 fired, sum;

static int tick(void *map, __u32 *key, struct value *value)
{
	fired++;
	if (++value->count < 5)
		bpf_timer_start(&value->timer, 1000, 0);
	else
		bpf_ringbuf_output(&done, &value->count, 8, 0);
	return 0;
}

static long add(void *map, __u32 *key, __u64 *value, void *ctx)
{
	sum += *key * *value;
	return 0;
}

static long multiply(__u32 index, __u64 *product)
{
	*product *= index + 1;
	return index == 4; /* stops after 5 */
}

SEC("syscall") int starts(void *ctx)
{
	__u32 key = 1;
	struct value *value = bpf_map_lookup_elem(&timers, &key);

	if (!value) return 1;
	bpf_timer_init(&value->timer, &timers, CLOCK_MONOTONIC);
	bpf_timer_set_callback(&value->timer, tick);
	return bpf_timer_start(&value->timer, 0, 0);
}

SEC("syscall") int adds(void *ctx) { return bpf_for_each_map_elem(&numbers, add, 0, 0); }

SEC("syscall") int multiplies(void *ctx)
{
	__u64 product = 1;

	bpf_loop(100, multiply, &product, 0);
	return product;
}
"""
)


@pytest.mark.parametrize("compiler", ["ziglang", "clang-19"])
def test_callbacks(compile_bpf: CompileBpf, compiler: str) -> None:
    source = CALLBACKS.replace("CLOCK_MONOTONIC", "1")
    with ObjectSpec.from_file(compile_bpf(source, compiler=compiler)).load() as live:
        assert live.programs["multiplies"].test_run().retval == 1 * 2 * 3 * 4 * 5
        live.maps["numbers"].update({3: 10, 4: 100})
        assert live.programs["adds"].test_run().retval == 2
        assert live.variables["sum"].value == 430
        assert live.programs["starts"].test_run().retval == 0
        with live.maps["done"].stream() as stream:
            assert len(stream.read(timeout=10)) == 1
        assert live.variables["fired"].value == 5
        assert live.maps["timers"][1].count == 5
