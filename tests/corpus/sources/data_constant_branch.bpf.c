/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A constant that is set before loading decides which code is verified at all. */
#include <skep/bpf.h>

const volatile bool broken = true;
const volatile __u32 loops = 1;
__u32 rounds;

SEC("tc")
int decide(void *ctx)
{
	if (broken)
		return *(volatile int *) 0; /* never accepted, if it is reached */
	for (__u32 i = 0; i < loops; i++)
		rounds++;
	return 7;
}

char LICENSE[] SEC("license") = "GPL";
