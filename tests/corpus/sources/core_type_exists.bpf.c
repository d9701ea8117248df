/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* CO-RE kind 8, existence of types: structures, unions, enums, typedefs, and wrong kinds. */
#include <skep/bpf.h>

struct task_struct { int pid; } SKEP_CORE;
union bpf_attr { int a; } SKEP_CORE;
enum bpf_map_type___other { OTHER = 1 };
typedef int pid_t___other;
union task_struct___union { int pid; } SKEP_CORE;
struct skep_no_such_struct { int a; } SKEP_CORE;
typedef struct { int counter; } atomic_t;

__u32 answers;

SEC("raw_tp/sys_enter")
int ask(void *ctx)
{
	answers = bpf_core_type_exists(struct task_struct) |
		  bpf_core_type_exists(union bpf_attr) << 1 |
		  bpf_core_type_exists(enum bpf_map_type___other) << 2 |
		  bpf_core_type_exists(pid_t___other) << 3 |
		  bpf_core_type_exists(atomic_t) << 4 |
		  bpf_core_type_exists(union task_struct___union) << 5 |
		  bpf_core_type_exists(struct skep_no_such_struct) << 6;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
