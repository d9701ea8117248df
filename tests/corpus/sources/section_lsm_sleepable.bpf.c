/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* lsm.s: a hook that may wait for user memory. */
#include <skep/bpf.h>

__u32 own;
__u64 hits;

SEC("lsm.s/file_open")
int BPF_PROG(opens, void *file)
{
	if (bpf_get_current_pid_tgid() >> 32 == own)
		hits++;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
