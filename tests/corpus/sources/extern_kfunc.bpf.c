/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Kernel functions: a number is remembered by one and given back by another. */
#include <skep/bpf.h>

struct task_struct { int tgid; } SKEP_CORE;

extern struct task_struct *bpf_task_from_pid(int pid) __ksym;
extern void bpf_task_release(struct task_struct *task) __ksym;

__u32 own;
long number;
int found = -1, nobody = -1;

SEC("tp_btf/sys_enter")
int BPF_PROG(asks, void *regs, long id)
{
	struct task_struct *task;

	if (bpf_get_current_pid_tgid() >> 32 != own || id != number)
		return 0;
	task = bpf_task_from_pid(own);
	if (task) {
		found = task->tgid;
		bpf_task_release(task);
	}
	task = bpf_task_from_pid(-5);
	nobody = task == 0;
	if (task)
		bpf_task_release(task);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
