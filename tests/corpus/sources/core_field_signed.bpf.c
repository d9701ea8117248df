/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* CO-RE kind 3, signedness: the kernel's type decides, not the source's. */
#include <skep/bpf.h>

struct task_struct {
	unsigned int pid;  /* signed in the kernel */
	int flags;         /* unsigned in the kernel */
	int in_execve:1;   /* unsigned in the kernel */
} SKEP_CORE;

__u32 pid, flags, bits;

SEC("raw_tp/sys_enter")
int ask(void *ctx)
{
	struct task_struct *task = (void *) 0;

	pid = __builtin_preserve_field_info(task->pid, SKEP_FIELD_SIGNED);
	flags = __builtin_preserve_field_info(task->flags, SKEP_FIELD_SIGNED);
	bits = __builtin_preserve_field_info(task->in_execve, SKEP_FIELD_SIGNED);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
