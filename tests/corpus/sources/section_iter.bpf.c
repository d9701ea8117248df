/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* iter and iter.s: every task as a line of a file. */
#include <skep/bpf.h>

struct seq_file;
struct bpf_iter_meta { struct seq_file *seq; __u64 session_id, seq_num; } SKEP_CORE;
struct task_struct { int pid, tgid; } SKEP_CORE;
struct bpf_iter__task { struct bpf_iter_meta *meta; struct task_struct *task; } SKEP_CORE;

__u32 own;

static __always_inline int write(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	static const char format[] = "%d %d\n";
	__u64 numbers[2];

	if (!task || task->tgid != own)
		return 0;
	numbers[0] = task->tgid;
	numbers[1] = task->pid;
	bpf_seq_printf(ctx->meta->seq, format, sizeof(format), numbers, sizeof(numbers));
	return 0;
}

SEC("iter/task")
int dump(struct bpf_iter__task *ctx)
{
	return write(ctx);
}

SEC("iter.s/task")
int dump_sleepable(struct bpf_iter__task *ctx)
{
	return write(ctx);
}

char LICENSE[] SEC("license") = "GPL";
