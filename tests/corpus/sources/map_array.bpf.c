/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Arrays: by index, and beyond the end. */
#include <skep/bpf.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} squares SEC(".maps");

int beyond = 1;

SEC("tc")
int fill(void *ctx)
{
	__u32 past = 4;

	for (__u32 i = 0; i < 4; i++) {
		__u32 index = i, *place = bpf_map_lookup_elem(&squares, &index);

		if (place)
			*place = i * i;
	}
	beyond = bpf_map_lookup_elem(&squares, &past) != 0;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
