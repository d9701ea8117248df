/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Static variables, of the file and of two functions that use the same name. */
#include <skep/bpf.h>

int before = 1;
static volatile int of_file = 2;
static volatile char small = 3;
int after = 4;

static __noinline int first(void)
{
	static volatile int count = 10;

	return ++count;
}

static __noinline int second(void)
{
	static volatile int count = 20;

	return ++count;
}

SEC("tc")
int adds(void *ctx)
{
	of_file += before;
	small += after;
	return first() * 1000 + second();
}

char LICENSE[] SEC("license") = "GPL";
