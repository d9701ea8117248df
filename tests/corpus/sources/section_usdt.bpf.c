/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* usdt: a probe at a mark in a program, which is a kind of uprobe. */
#include <skep/bpf.h>

__u32 own;
__u64 hits;

SEC("usdt/c:libc:setjmp")
int on_mark(struct pt_regs *ctx)
{
	if (bpf_get_current_pid_tgid() >> 32 == own)
		hits++;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
