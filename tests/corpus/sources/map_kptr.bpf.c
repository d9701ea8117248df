/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A kernel pointer in a value, by a type tag: exchanged, kept, and found again. */
#include <skep/bpf.h>

struct task_struct { int tgid; } SKEP_CORE;

struct kept {
	struct task_struct __kptr *task;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kept);
} kept SEC(".maps");

extern struct task_struct *bpf_task_acquire(struct task_struct *task) __ksym;
extern void bpf_task_release(struct task_struct *task) __ksym;

int before = -1, after = -1;
__u32 own;
long number;

SEC("tp_btf/sys_enter")
int BPF_PROG(keep, void *regs, long id)
{
	struct task_struct *task, *old;
	__u32 zero = 0;
	struct kept *value = bpf_map_lookup_elem(&kept, &zero);

	if (!value || id != number || bpf_get_current_pid_tgid() >> 32 != own)
		return 1;
	task = bpf_task_acquire(bpf_get_current_task_btf());
	if (!task)
		return 2;
	old = bpf_kptr_xchg(&value->task, task);
	before = 0;
	if (old)
		bpf_task_release(old);
	old = bpf_kptr_xchg(&value->task, NULL);
	if (!old)
		return 3;
	after = old->tgid;
	bpf_task_release(old);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
