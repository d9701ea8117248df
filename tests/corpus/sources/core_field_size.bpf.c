/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* CO-RE kind 1, byte size: of plain fields, arrays, structures and a bit-field's bytes. */
#include <skep/bpf.h>

struct list_head { void *next; } SKEP_CORE;
struct task_struct {
	int pid;
	char comm[4]; /* the kernel's is longer */
	struct list_head tasks;
	char flags; /* the kernel's is wider */
	unsigned int in_execve:1;
} SKEP_CORE;

__u64 pid, comm, tasks, flags, bits;

SEC("raw_tp/sys_enter")
int ask(void *ctx)
{
	struct task_struct *task = (void *) 0;

	pid = bpf_core_field_size(struct task_struct, pid);
	comm = bpf_core_field_size(struct task_struct, comm);
	tasks = bpf_core_field_size(struct task_struct, tasks);
	flags = bpf_core_field_size(struct task_struct, flags);
	bits = __builtin_preserve_field_info(task->in_execve, SKEP_FIELD_BYTE_SIZE);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
