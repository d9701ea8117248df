/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A bloom filter, with map_extra as its number of hashes. */
#include <skep/bpf.h>

struct {
	__uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
	__uint(max_entries, 1000);
	__uint(map_extra, 7);
	__type(value, __u64);
} seen SEC(".maps");

int known, unknown;

SEC("tc")
int ask(void *ctx)
{
	__u64 here = 0x1234567890, there = 0x9876543210;

	bpf_map_push_elem(&seen, &here, 0);
	known = bpf_map_peek_elem(&seen, &here);
	unknown = bpf_map_peek_elem(&seen, &there);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
