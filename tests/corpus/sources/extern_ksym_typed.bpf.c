/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A per-CPU variable of the kernel, with the type that BTF has for it. */
#include <skep/bpf.h>

struct rq { int cpu; } SKEP_CORE;

extern const struct rq runqueues __ksym;
extern const int bpf_prog_active __ksym;

int own_cpu = -1, first_cpu = -1, active = -1;
__u32 here;

SEC("raw_tp/sys_enter")
int asks(void *ctx)
{
	struct rq *first = bpf_per_cpu_ptr(&runqueues, 0);
	struct rq *own = bpf_this_cpu_ptr(&runqueues);
	int *count = bpf_this_cpu_ptr(&bpf_prog_active);

	here = bpf_get_smp_processor_id();
	own_cpu = own->cpu;
	if (first)
		first_cpu = first->cpu;
	active = *count;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
