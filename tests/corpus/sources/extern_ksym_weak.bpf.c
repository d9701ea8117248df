/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Weak kernel symbols: what is there has an address, what is not has none. */
#include <skep/bpf.h>

struct skep_no_such_type { int a; };

extern const void vfs_read __ksym __weak;
extern const struct skep_no_such_type skep_no_such_variable __ksym __weak;

int there, missing = 1;

SEC("raw_tp/sys_enter")
int asks(void *ctx)
{
	there = &vfs_read != 0;
	missing = &skep_no_such_variable != 0;
	if (&skep_no_such_variable)
		return skep_no_such_variable.a;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
