// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Counts system calls by process. */
#include <skep/bpf.h>

char LICENSE[] SEC("license") = "GPL";

struct process {
	__u64 calls;
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH); /* full, it forgets who was idle the longest */
	__uint(max_entries, 10240);
	__type(key, __u32);
	__type(value, struct process);
} processes SEC(".maps");

SEC("raw_tp/sys_enter")
int on_call(void *ctx)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32;
	struct process *process = bpf_map_lookup_elem(&processes, &pid);
	struct process fresh = {.calls = 1};

	if (process) {
		__sync_fetch_and_add(&process->calls, 1);
		return 0;
	}
	bpf_get_current_comm(fresh.comm, sizeof(fresh.comm));
	bpf_map_update_elem(&processes, &pid, &fresh, BPF_NOEXIST);
	return 0;
}
