/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Pinning by name: a second load finds the map of the first. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, __u32);
} skep_corpus_runs SEC(".maps");

SEC("tc")
int count(void *ctx)
{
	__u32 zero = 0, *value = bpf_map_lookup_elem(&skep_corpus_runs, &zero);

	if (!value)
		return -1;
	return ++*value;
}

char LICENSE[] SEC("license") = "GPL";
