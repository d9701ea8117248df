/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* An array of maps whose elements are declared: two inner maps and a hole. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} first SEC(".maps"), third SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 3);
	__type(key, __u32);
	__array(values, struct inner);
} outer SEC(".maps") = {
	.values = { [0] = &first, [2] = &third },
};

__u32 holes;

SEC("tc")
int fill(void *ctx)
{
	__u32 zero = 0;

	for (__u32 i = 0; i < 3; i++) {
		__u32 index = i, value = i + 100;
		void *map = bpf_map_lookup_elem(&outer, &index);

		if (map)
			bpf_map_update_elem(map, &zero, &value, BPF_ANY);
		else
			holes++;
	}
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
