/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* bpf_throw: out of a subprogram, to the callback that a declaration tag names. */
#include <skep/bpf.h>

extern void bpf_throw(__u64 cookie) __ksym;

__noinline int caught(__u64 cookie)
{
	return cookie + 2;
}

static __noinline int divides(int n)
{
	if (!n)
		bpf_throw(40);
	return 100 / n;
}

SEC("tc") __exception_cb(caught)
int throws(void *ctx)
{
	return divides(0);
}

SEC("tc")
int throws_plainly(void *ctx)
{
	bpf_throw(7);
	return 1;
}

SEC("tc") __exception_cb(caught)
int does_not_throw(void *ctx)
{
	return divides(5);
}

char LICENSE[] SEC("license") = "GPL";
