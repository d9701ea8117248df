/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Elements of arrays in kernel types, and members of those elements. */
#include <skep/bpf.h>

struct pid { int level; } SKEP_CORE;
struct pid_namespace;
struct upid { int nr; struct pid_namespace *ns; } SKEP_CORE;
struct pid___numbers { struct upid numbers[1]; } SKEP_CORE;
struct task_struct { int pid; struct pid *thread_pid; char comm[16]; } SKEP_CORE;

int number, level, pid;
char third;

SEC("raw_tp/sys_enter")
int ask(void *ctx)
{
	struct task_struct *task = (void *) bpf_get_current_task();
	struct pid___numbers *numbers = (void *) BPF_CORE_READ(task, thread_pid);

	pid = BPF_CORE_READ(task, pid);
	level = BPF_CORE_READ(task, thread_pid, level);
	number = BPF_CORE_READ(numbers, numbers[0].nr);
	third = BPF_CORE_READ(task, comm[2]);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
