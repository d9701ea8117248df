/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A weak map: the definition that is there when no other object has one. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} shared __weak SEC(".maps");

SEC("tc")
int count(void *ctx)
{
	__u32 zero = 0, *value = bpf_map_lookup_elem(&shared, &zero);

	return value ? (*value += 3) : -1;
}

char LICENSE[] SEC("license") = "GPL";
