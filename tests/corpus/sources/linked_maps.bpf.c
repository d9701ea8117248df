/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Linked with linked_maps_2: a map that is declared here and defined there. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} numbers SEC(".maps");

__weak __attribute__((noinline)) int choice(void)
{
	volatile int weak = 1;

	return weak;
}

SEC("tc")
int reads(struct __sk_buff *skb)
{
	__u32 one = 1, *value = bpf_map_lookup_elem(&numbers, &one);

	return value ? *value + choice() : -1;
}

char LICENSE[] SEC("license") = "GPL";
