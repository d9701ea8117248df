/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Integers that have another size in the kernel: the load takes the kernel's. */
#include <skep/bpf.h>

struct task_struct { int tgid; } SKEP_CORE;
struct task_struct___wide { unsigned long long flags; } SKEP_CORE;   /* 4 bytes in the kernel */
struct task_struct___narrow { unsigned short policy; } SKEP_CORE;    /* 4 bytes in the kernel */
struct task_struct___exact { unsigned int flags, policy; } SKEP_CORE;

__u32 own;
long number;
__u64 wide, exact, narrow = 9, policy = 8;

SEC("tp_btf/sys_enter")
int BPF_PROG(ask, void *regs, long id)
{
	struct task_struct *task = bpf_get_current_task_btf();

	if (task->tgid != own || id != number)
		return 0;
	wide = ((struct task_struct___wide *) task)->flags;
	exact = ((struct task_struct___exact *) task)->flags;
	narrow = ((struct task_struct___narrow *) task)->policy;
	policy = ((struct task_struct___exact *) task)->policy;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
