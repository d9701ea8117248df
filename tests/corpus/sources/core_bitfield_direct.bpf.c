/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Bit-fields behind a pointer that the verifier lets programs follow. */
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

struct task_struct {
	int pid;
	unsigned int no_new_privs:1; /* one of atomic_flags in the kernel: does not exist */
	unsigned int in_execve:1;
	unsigned int sched_reset_on_fork:1;
} __attribute__((preserve_access_index));

__u32 own;
long number;
__u64 reset = 5, execve = 5;
bool exists = true;

SEC("tp_btf/sys_enter")
int BPF_PROG(ask, void *regs, long id)
{
	struct task_struct *task = (void *) bpf_get_current_task_btf();

	if (task->pid != own || id != number)
		return 0;
	reset = BPF_CORE_READ_BITFIELD(task, sched_reset_on_fork);
	execve = BPF_CORE_READ_BITFIELD(task, in_execve);
	exists = bpf_core_field_exists(task->no_new_privs);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
