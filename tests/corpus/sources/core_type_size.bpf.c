/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* CO-RE kind 9, the sizes of the kernel's types. */
#include <skep/bpf.h>

struct task_struct { int pid; } SKEP_CORE;
struct list_head { void *next; } SKEP_CORE;
struct skep_no_such_struct { int a[50]; } SKEP_CORE;

__u64 task, list, missing = 1;

SEC("raw_tp/sys_enter")
int ask(void *ctx)
{
	task = bpf_core_type_size(struct task_struct);
	list = bpf_core_type_size(struct list_head);
	missing = bpf_core_type_size(struct skep_no_such_struct);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
