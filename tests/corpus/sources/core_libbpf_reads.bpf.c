/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* CO-RE reads with libbpf's macros: chains, strings, arrays, and two ways of asking. */
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

struct signal_struct { int nr_threads; } __attribute__((preserve_access_index));
struct task_struct {
	int tgid;
	struct task_struct *real_parent, *group_leader;
	struct signal_struct *signal;
	char comm[16];
} __attribute__((preserve_access_index));

int parent, leader, threads;
char comm[16];
bool exists;
__u64 size;

SEC("raw_tp/sys_enter")
int ask(void *ctx)
{
	struct task_struct *task = (void *) bpf_get_current_task();

	parent = BPF_CORE_READ(task, group_leader, real_parent, tgid);
	bpf_core_read(&leader, sizeof(leader), &task->tgid);
	BPF_CORE_READ_INTO(&threads, task, signal, nr_threads);
	bpf_core_read_str(comm, sizeof(comm), &task->comm);
	exists = bpf_core_field_exists(task->signal);
	size = bpf_core_field_size(task->comm);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
