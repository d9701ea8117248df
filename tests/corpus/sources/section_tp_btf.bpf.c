/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* tp_btf: a tracepoint whose arguments have types, read without helpers. */
#include <skep/bpf.h>

struct pt_regs;
struct task_struct { int tgid; struct task_struct *real_parent; } SKEP_CORE;

__u32 own;
long number;
__u64 calls;
int parent;

SEC("tp_btf/sys_enter")
int BPF_PROG(on_enter, struct pt_regs *regs, long id)
{
	struct task_struct *task = bpf_get_current_task_btf();

	if (task->tgid != own || id != number)
		return 0;
	calls++;
	parent = task->real_parent->tgid;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
