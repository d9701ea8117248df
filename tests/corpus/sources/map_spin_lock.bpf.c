/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A spin lock in a value: the kernel finds it by the value's type. */
#include <skep/bpf.h>

struct guarded {
	int before;
	struct bpf_spin_lock lock;
	__u64 a, b;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct guarded);
} guarded SEC(".maps");

SEC("tc")
int both(void *ctx)
{
	__u32 zero = 0;
	struct guarded *value = bpf_map_lookup_elem(&guarded, &zero);

	if (!value)
		return 1;
	bpf_spin_lock(&value->lock);
	value->a += 2;
	value->b += 3;
	bpf_spin_unlock(&value->lock);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
