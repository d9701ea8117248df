/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The other half of linked_maps; its choice() is not weak. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} numbers SEC(".maps");

__attribute__((noinline)) int choice(void)
{
	volatile int strong = 2;

	return strong;
}

SEC("tc")
int writes(struct __sk_buff *skb)
{
	__u32 one = 1, value = 40;

	return bpf_map_update_elem(&numbers, &one, &value, BPF_ANY);
}

char LICENSE[] SEC("license") = "GPL";
