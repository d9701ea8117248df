/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* kprobe and kretprobe, at a function that the kernel calls for every getpgid(). */
#include <skep/bpf.h>

__u32 own;
__u64 entries, exits;

SEC("kprobe/find_task_by_vpid")
int BPF_KPROBE(on_entry, int pid)
{
	if (bpf_get_current_pid_tgid() >> 32 == own && pid == (int) own)
		entries++;
	return 0;
}

SEC("kretprobe/find_task_by_vpid")
int BPF_KRETPROBE(on_exit, void *task)
{
	if (bpf_get_current_pid_tgid() >> 32 == own && task)
		exits++;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
