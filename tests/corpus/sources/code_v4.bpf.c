/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Instruction set version 4: signed division, sign extension, byte swaps, long jumps. */
#include <skep/bpf.h>

const volatile __s64 dividend = -17;
const volatile __s32 divisor = 5;
const volatile __s8 tiny = -2;
const volatile __u32 word = 0x11223344;
__s64 quotient, rest, extended;
__u32 swapped;

SEC("tc")
int divides(void *ctx)
{
	quotient = dividend / divisor;
	rest = dividend % divisor;
	extended = tiny;
	swapped = __builtin_bswap32(word);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
