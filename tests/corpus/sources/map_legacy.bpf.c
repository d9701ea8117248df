/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The old style: struct bpf_map_def in the section "maps", as before 2019, with BTF. */
#include <linux/bpf.h>
#define SEC(name) __attribute__((section(name), used))

static void *(*lookup)(void *map, const void *key) = (void *) BPF_FUNC_map_lookup_elem;

struct bpf_map_def {
	unsigned int type;
	unsigned int key_size;
	unsigned int value_size;
	unsigned int max_entries;
	unsigned int map_flags;
};

struct bpf_map_def SEC("maps") first = {
	.type = BPF_MAP_TYPE_ARRAY,
	.key_size = sizeof(__u32),
	.value_size = sizeof(__u64),
	.max_entries = 2,
};

struct bpf_map_def SEC("maps") second = {
	.type = BPF_MAP_TYPE_HASH,
	.key_size = sizeof(__u64),
	.value_size = sizeof(__u32),
	.max_entries = 8,
	.map_flags = BPF_F_NO_PREALLOC,
};

SEC("classifier")
int count(void *ctx)
{
	__u32 one = 1, *found;
	__u64 key = 77, *value = lookup(&first, &one);

	if (value)
		*value += 5;
	found = lookup(&second, &key);
	return found ? *found : 0;
}

char _license[] SEC("license") = "GPL";
unsigned int _version SEC("version") = 0x50f00;
