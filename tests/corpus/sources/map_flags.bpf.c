/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Flags, a NUMA node, and an array that programs may only read. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 5);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_NUMA_NODE | BPF_F_ZERO_SEED);
	__uint(numa_node, 0);
	__uint(key_size, 8);
	__uint(value_size, 12);
} bytes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__uint(map_flags, BPF_F_RDONLY_PROG | BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u32);
} given SEC(".maps");

SEC("tc")
int reads(void *ctx)
{
	__u32 one = 1, *value = bpf_map_lookup_elem(&given, &one);
	__u64 key = 7;

	return value && !bpf_map_lookup_elem(&bytes, &key) ? *value : -1;
}

char LICENSE[] SEC("license") = "GPL";
