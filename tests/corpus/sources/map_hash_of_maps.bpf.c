/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A hash of maps with an inner map defined in place; its elements come from user space. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__array(values, struct {
		__uint(type, BPF_MAP_TYPE_HASH);
		__uint(max_entries, 8);
		__type(key, __u32);
		__type(value, __u64);
	});
} outer SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u64);
} inner SEC(".maps");

long result = -1;

SEC("tc")
int ask(void *ctx)
{
	__u32 key = 5, inside = 6;
	void *map = bpf_map_lookup_elem(&outer, &key);
	__u64 *value = map ? bpf_map_lookup_elem(map, &inside) : 0;

	result = value ? (long) *value : 0;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
