/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Names that are long, alike in their first 15 characters, and of one letter. */
#include <skep/bpf.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} a_map_with_a_name_of_many_letters SEC(".maps"), a_map_with_a_name_of_more_letters SEC(".maps");

static __always_inline int add(void *map, __u32 by)
{
	__u32 zero = 0, *value = bpf_map_lookup_elem(map, &zero);

	return value ? (*value += by) : -1;
}

SEC("tc")
int a_program_with_a_name_of_many_letters(void *ctx)
{
	return add(&a_map_with_a_name_of_many_letters, 1);
}

SEC("tc")
int a_program_with_a_name_of_more_letters(void *ctx)
{
	return add(&a_map_with_a_name_of_more_letters, 2);
}

SEC("tc")
int p(void *ctx)
{
	return add(&a_map_with_a_name_of_many_letters, 3);
}

char LICENSE[] SEC("license") = "GPL";
