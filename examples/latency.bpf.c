// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The time from a function's entry to its return, as a histogram. */
#include <skep/bpf.h>

char LICENSE[] SEC("license") = "GPL";

/* By thread: of a function that calls itself, the innermost call is measured. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 10240);
	__type(key, __u32);
	__type(value, __u64);
} entered SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct skep_hist);
} nanoseconds SEC(".maps");

SEC("uprobe")
int BPF_UPROBE(on_entry)
{
	__u32 tid = bpf_get_current_pid_tgid();
	__u64 now = bpf_ktime_get_ns();

	bpf_map_update_elem(&entered, &tid, &now, BPF_ANY);
	return 0;
}

SEC("uretprobe")
int BPF_URETPROBE(on_return)
{
	__u64 now = bpf_ktime_get_ns(), *since;
	__u32 tid = bpf_get_current_pid_tgid(), first = 0;
	struct skep_hist *histogram = bpf_map_lookup_elem(&nanoseconds, &first);

	since = bpf_map_lookup_elem(&entered, &tid);
	if (!since || !histogram)
		return 0; /* it was running already when we came */
	skep_hist_add(histogram, now - *since);
	bpf_map_delete_elem(&entered, &tid);
	return 0;
}
