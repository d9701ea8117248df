/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A hash map in BTF style: looked up, updated, deleted. */
#include <skep/bpf.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

SEC("tc")
int count(void *ctx)
{
	__u32 key = 7, gone = 8;
	__u64 one = 1, *value;

	bpf_map_update_elem(&counts, &gone, &one, BPF_ANY);
	bpf_map_delete_elem(&counts, &gone);
	value = bpf_map_lookup_elem(&counts, &key);
	if (value)
		*value += 1;
	else
		bpf_map_update_elem(&counts, &key, &one, BPF_NOEXIST);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
