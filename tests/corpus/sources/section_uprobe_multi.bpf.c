/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* uprobe.multi and uretprobe.multi: all functions that a pattern names. */
#include <skep/bpf.h>

__u32 own;
__u64 entries, exits;

SEC("uprobe.multi/c:?abs")
int on_entry(void *ctx)
{
	if (bpf_get_current_pid_tgid() >> 32 == own)
		entries++;
	return 0;
}

SEC("uretprobe.multi/c:?abs")
int on_exit(void *ctx)
{
	if (bpf_get_current_pid_tgid() >> 32 == own)
		exits++;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
