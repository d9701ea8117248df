/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ksyscall and kretsyscall: probes at a system call, whatever its function is called. */
#include <skep/bpf.h>

__u32 own;
__u64 entries, exits;

SEC("ksyscall/getppid")
int on_entry(struct pt_regs *ctx)
{
	if (bpf_get_current_pid_tgid() >> 32 == own)
		entries++;
	return 0;
}

SEC("kretsyscall/getppid")
int on_exit(struct pt_regs *ctx)
{
	if (bpf_get_current_pid_tgid() >> 32 == own && PT_REGS_RC(ctx) > 0)
		exits++;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
