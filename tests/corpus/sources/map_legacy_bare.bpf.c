/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The old style in an object without BTF, as compilers made them before it existed. */
#include <linux/bpf.h>
#define SEC(name) __attribute__((section(name), used))

static void *(*lookup)(void *map, const void *key) = (void *) BPF_FUNC_map_lookup_elem;

struct definition {
	unsigned int type, key_size, value_size, max_entries, map_flags;
	unsigned int inner, numa; /* must be zero */
};

struct definition SEC("maps") numbers = { BPF_MAP_TYPE_ARRAY, 4, 4, 3, 0, 0, 0 };

SEC("socket")
int sum(struct __sk_buff *skb)
{
	__u32 total = 0;

	for (__u32 i = 0; i < 3; i++) {
		__u32 index = i, *value = lookup(&numbers, &index);

		if (value)
			total += *value;
	}
	return total;
}

char _license[] SEC("license") = "GPL";
