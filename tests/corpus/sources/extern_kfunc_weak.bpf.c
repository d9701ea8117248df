/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Weak kernel functions: one that no kernel has is never called. */
#include <skep/bpf.h>

extern __u64 skep_no_such_function(__u64 a) __ksym __weak;

int missing = -1;

SEC("raw_tp/sys_enter")
int asks(void *ctx)
{
	if (skep_no_such_function)
		return skep_no_such_function(1);
	missing = 1;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
