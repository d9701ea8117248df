/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Queue and stack: maps without keys. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 4);
	__type(value, __u32);
} queue SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, 4);
	__uint(key_size, 0);
	__uint(value_size, 4);
} stack SEC(".maps");

__u32 first, last, peeked;

SEC("tc")
int pushes(void *ctx)
{
	for (__u32 i = 1; i < 4; i++) {
		__u32 value = i;

		bpf_map_push_elem(&queue, &value, 0);
		bpf_map_push_elem(&stack, &value, 0);
	}
	bpf_map_pop_elem(&queue, &first);
	bpf_map_pop_elem(&stack, &last);
	bpf_map_peek_elem(&queue, &peeked);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
