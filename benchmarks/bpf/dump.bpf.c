// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A map to fill and dump.
#include <skep/bpf.h>

struct totals {
	__u64 count;
	__u64 total;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 200000);
	__type(key, __u32);
	__type(value, struct totals);
} entries SEC(".maps");

char LICENSE[] SEC("license") = "GPL";
