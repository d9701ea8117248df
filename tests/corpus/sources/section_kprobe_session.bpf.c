/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* kprobe.session: entry and return in one program; a 1 at entry leaves the return out. */
#include <skep/bpf.h>

__u32 own;
__u64 runs;

SEC("kprobe.session/find_task_by_vpid")
int both(void *ctx)
{
	if (bpf_get_current_pid_tgid() >> 32 == own)
		runs++;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
