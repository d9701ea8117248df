/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* An LPM trie: the longest prefix wins. */
#include <skep/bpf.h>

struct prefix {
	__u32 length;
	__u8 address[4];
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 8);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix);
	__type(value, __u32);
} routes SEC(".maps");

__u32 near, far, none = 5;

static __u32 route(__u8 a, __u8 b)
{
	struct prefix whole = { 32, { a, b, 1, 1 } };
	__u32 *found = bpf_map_lookup_elem(&routes, &whole);

	return found ? *found : 0;
}

SEC("tc")
int ask(void *ctx)
{
	struct prefix wide = { 8, { 10 } }, narrow = { 16, { 10, 1 } };
	__u32 one = 1, two = 2;

	bpf_map_update_elem(&routes, &wide, &one, BPF_ANY);
	bpf_map_update_elem(&routes, &narrow, &two, BPF_ANY);
	near = route(10, 1);
	far = route(10, 2);
	none = route(11, 1);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
