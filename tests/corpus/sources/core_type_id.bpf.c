/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* CO-RE kinds 6 and 7, type ids: in the object's own BTF, and in the kernel's. */
#include <skep/bpf.h>

struct task_struct { int pid; } SKEP_CORE;
struct only_here { int a; };
struct skep_no_such_struct { int b; };

__u64 local, target, missing = 1;

SEC("raw_tp/sys_enter")
int ask(void *ctx)
{
	local = bpf_core_type_id_local(struct only_here);
	target = bpf_core_type_id_kernel(struct task_struct);
	missing = bpf_core_type_id_kernel(struct skep_no_such_struct);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
