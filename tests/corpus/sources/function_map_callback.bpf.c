/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* bpf_for_each_map_elem: a callback for each element. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u64);
} prices SEC(".maps");

struct total {
	__u64 keys, values;
};

static long add(void *map, __u32 *key, __u64 *value, struct total *total)
{
	total->keys += *key;
	total->values += *value;
	*value = 0;
	return 0;
}

struct total total;
long visited;

SEC("tc")
int adds(void *ctx)
{
	struct total sum = {};

	visited = bpf_for_each_map_elem(&prices, add, &sum, 0);
	total = sum;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
