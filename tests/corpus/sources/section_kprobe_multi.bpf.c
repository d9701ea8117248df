/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* kprobe.multi and kretprobe.multi: one program at many functions. */
#include <skep/bpf.h>

__u32 own;
__u64 entries, exits;

SEC("kprobe.multi/find_task_by_*")
int on_entry(void *ctx)
{
	if (bpf_get_current_pid_tgid() >> 32 == own)
		__sync_fetch_and_add(&entries, 1);
	return 0;
}

SEC("kretprobe.multi/find_task_by_*")
int on_exit(void *ctx)
{
	if (bpf_get_current_pid_tgid() >> 32 == own)
		__sync_fetch_and_add(&exits, 1);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
