// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A record for each program that starts: what, who, and who started it. */
#include <skep/bpf.h>

char LICENSE[] SEC("license") = "GPL";

/* Only the fields that are read; where they are is found out when this is loaded. */
struct task_struct {
	struct task_struct *real_parent;
	int tgid;
	char comm[16];
} SKEP_CORE;

struct start {
	__u64 time;
	__u32 pid;
	__u32 parent;
	char comm[16];
	char parent_comm[16];
};

SKEP_RINGBUF(starts, struct start, 1024 * 1024);

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task)
{
	struct start *start = skep_reserve(starts);

	if (!start)
		return 0; /* counted as lost */
	start->time = bpf_ktime_get_ns();
	start->pid = task->tgid;
	start->parent = BPF_CORE_READ(task, real_parent, tgid);
	bpf_get_current_comm(start->comm, sizeof(start->comm));
	BPF_CORE_READ_INTO(&start->parent_comm, task, real_parent, comm);
	skep_submit(start);
	return 0;
}
