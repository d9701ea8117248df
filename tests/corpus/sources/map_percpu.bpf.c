/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Per-CPU maps: what all CPUs hold together. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} in_array SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 4);
	__type(key, __u16);
	__type(value, __u64);
} in_hash SEC(".maps");

SEC("tc")
int count(void *ctx)
{
	__u32 zero = 0;
	__u16 key = 9;
	__u64 *value = bpf_map_lookup_elem(&in_array, &zero), two = 2;

	if (value)
		*value += 1;
	value = bpf_map_lookup_elem(&in_hash, &key);
	if (value)
		*value += 2;
	else
		bpf_map_update_elem(&in_hash, &key, &two, BPF_ANY);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
