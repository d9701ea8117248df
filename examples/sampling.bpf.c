// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Counts samples by the name of what was running. */
#include <skep/bpf.h>

char LICENSE[] SEC("license") = "GPL";

struct name {
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct name);
	__type(value, __u64);
} samples SEC(".maps");

__u64 idle;

SEC("perf_event")
int on_sample(void *ctx)
{
	struct name name;
	__u64 one = 1, *count;

	if (!bpf_get_current_pid_tgid()) {
		__sync_fetch_and_add(&idle, 1);
		return 0;
	}
	bpf_get_current_comm(name.comm, sizeof(name.comm));
	count = bpf_map_lookup_elem(&samples, &name);
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		bpf_map_update_elem(&samples, &name, &one, BPF_NOEXIST);
	return 0;
}
