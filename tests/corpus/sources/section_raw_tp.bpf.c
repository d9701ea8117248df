/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* raw_tp: a program at a raw tracepoint, with libbpf's headers. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

__u32 own;
__u64 calls;
long number;

SEC("raw_tp/sys_enter")
int BPF_PROG(on_enter, void *regs, long id)
{
	if (bpf_get_current_pid_tgid() >> 32 != own || id != number)
		return 0;
	calls++;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
