/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* LRU hashes take every key and forget old ones; the second with a list for each CPU. */
#include <skep/bpf.h>

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u32);
} recent SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 64);
	__uint(map_flags, BPF_F_NO_COMMON_LRU);
	__type(key, __u32);
	__type(value, __u32);
} for_each_cpu SEC(".maps");

__u32 refused;

SEC("tc")
int fill(void *ctx)
{
	for (__u32 i = 0; i < 200; i++) {
		__u32 key = i;

		if (bpf_map_update_elem(&recent, &key, &key, BPF_ANY))
			refused++;
		if (bpf_map_update_elem(&for_each_cpu, &key, &key, BPF_ANY))
			refused++;
	}
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
