/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A field that does not exist, behind a check: poisoned, and never reached. */
#include <skep/bpf.h>

struct task_struct {
	int tgid;
	struct { int deep; } no_such_field;
} SKEP_CORE;
struct skep_no_such_struct { int a; } SKEP_CORE;
enum bpf_map_type___none { BPF_MAP_TYPE_IMAGINARY = 5 };

int result = -1;

SEC("raw_tp/sys_enter")
int ask(void *ctx)
{
	struct task_struct *task = (void *) bpf_get_current_task();
	struct skep_no_such_struct *none = (void *) task;

	if (bpf_core_field_exists(task->no_such_field))
		result = BPF_CORE_READ(task, no_such_field.deep);
	else if (bpf_core_type_exists(struct skep_no_such_struct))
		result = BPF_CORE_READ(none, a);
	else if (bpf_core_enum_value_exists(enum bpf_map_type___none, BPF_MAP_TYPE_IMAGINARY))
		result = bpf_core_enum_value(enum bpf_map_type___none, BPF_MAP_TYPE_IMAGINARY);
	else
		result = BPF_CORE_READ(task, tgid);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
