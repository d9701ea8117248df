/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Many programs in one section and in several, with one map. */
#include <skep/bpf.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u32);
} runs SEC(".maps");

static __noinline int bump(__u32 index)
{
	__u32 *value = bpf_map_lookup_elem(&runs, &index);

	return value ? ++*value : -1;
}

#define PROGRAM(kind, number) \
	SEC(kind) int program_##number(void *ctx) { return bump(number); }

PROGRAM("tc", 0)
PROGRAM("tc", 1)
PROGRAM("xdp", 2)
PROGRAM("socket", 3)
PROGRAM("tc", 4)
PROGRAM("xdp", 5)
PROGRAM("classifier", 6)
PROGRAM("tc", 7)

char LICENSE[] SEC("license") = "GPL";
