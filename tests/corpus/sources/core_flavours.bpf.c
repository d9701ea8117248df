/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Flavours: two versions of a type side by side; the one that the kernel has is used. */
#include <skep/bpf.h>

struct task_struct { int tgid; } SKEP_CORE;
struct task_struct___before_5_14 { long state; } SKEP_CORE;
struct task_struct___since_5_14 { unsigned int __state; } SKEP_CORE;

__u64 state = 99;
int tgid;

SEC("raw_tp/sys_enter")
int ask(void *ctx)
{
	struct task_struct *task = (void *) bpf_get_current_task();
	struct task_struct___before_5_14 *before = (void *) task;
	struct task_struct___since_5_14 *since = (void *) task;

	tgid = BPF_CORE_READ(task, tgid);
	if (bpf_core_field_exists(since->__state))
		state = BPF_CORE_READ(since, __state);
	else
		state = BPF_CORE_READ(before, state);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
