/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* .data, .bss and .rodata with initial values. */
#include <skep/bpf.h>

int initialised = 40;
long zeroed;
const volatile int constant = 2;
static volatile short hidden = -3;
struct { char name[8]; __u16 numbers[3]; } mixed = { "corpus", { 1, 2, 3 } };

SEC("tc")
int add(void *ctx)
{
	zeroed = initialised + constant;
	initialised = hidden;
	mixed.numbers[1] += mixed.name[0];
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
