/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Static functions: one that is called twice, and one that calls another. */
#include <skep/bpf.h>

static __noinline int twice(int n)
{
	return n * 2 + (int) (bpf_get_smp_processor_id() & 0);
}

static __noinline int square_of_twice(int n)
{
	int t = twice(n);

	return t * t;
}

SEC("tc")
int calls(void *ctx)
{
	return twice(3) + square_of_twice(2);
}

char LICENSE[] SEC("license") = "GPL";
