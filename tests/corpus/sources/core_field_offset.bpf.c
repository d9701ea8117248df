/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* CO-RE kind 0, byte offset: members behind pointers of kernel types declared in part. */
#include <skep/bpf.h>

struct task_struct {
	int tgid;
	struct task_struct *group_leader;
	char comm[16];
} SKEP_CORE;

int tgid;
char comm[16];

SEC("raw_tp/sys_enter")
int ask(void *ctx)
{
	struct task_struct *task = (void *) bpf_get_current_task();

	tgid = BPF_CORE_READ(task, group_leader, tgid);
	BPF_CORE_READ_STR_INTO(&comm, task, comm);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
