/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Instruction set version 1: only 64-bit registers and unsigned or signed greater-than jumps. */
#include <skep/bpf.h>

const volatile int limit = 10;
__u32 rounds;
__s64 smallest;

SEC("tc")
int loops(void *ctx)
{
	__s64 values[4] = { 3, -7, 5, 0 };

	for (__u32 i = 0; i < limit; i++)
		rounds += i;
	for (int i = 0; i < 4; i++)
		if (values[i] < smallest)
			smallest = values[i];
	__sync_fetch_and_add(&rounds, 1);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
