/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Instruction set version 2: all the comparisons. */
#include <skep/bpf.h>

const volatile __s64 a = -3, b = 3;
__u32 answers;

SEC("tc")
int compares(void *ctx)
{
	answers = 0;
	if (a < b)
		answers |= 1;
	if ((__u64) a < (__u64) b)
		answers |= 2;
	if (a <= b)
		answers |= 4;
	if ((__u64) a <= (__u64) b)
		answers |= 8;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
