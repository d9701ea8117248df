/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* CO-RE kind 2, existence: of fields, of fields in fields, with other types, and in missing types. */
#include <skep/bpf.h>

struct mm_struct { unsigned long total_vm, no_such_counter; } SKEP_CORE;
struct task_struct {
	int pid;
	int no_such_field;
	struct mm_struct *mm;
	void *comm; /* an array in the kernel */
} SKEP_CORE;
struct mm_struct___nested { struct { unsigned long total_vm; } inside; } SKEP_CORE;
struct skep_no_such_struct { int a; } SKEP_CORE;

__u32 answers;

SEC("raw_tp/sys_enter")
int ask(void *ctx)
{
	answers = bpf_core_field_exists(struct task_struct, pid) |
		  bpf_core_field_exists(struct task_struct, no_such_field) << 1 |
		  bpf_core_field_exists(struct mm_struct, total_vm) << 2 |
		  bpf_core_field_exists(struct mm_struct, no_such_counter) << 3 |
		  bpf_core_field_exists(struct task_struct, comm) << 4 |
		  bpf_core_field_exists(struct mm_struct___nested, inside.total_vm) << 5 |
		  bpf_core_field_exists(struct skep_no_such_struct, a) << 6;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
