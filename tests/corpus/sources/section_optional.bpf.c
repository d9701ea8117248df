/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* "?" before a section name: not loaded unless asked for; here it could not be. */
#include <skep/bpf.h>

int ran;

SEC("tc")
int good(void *ctx)
{
	ran++;
	return 0;
}

SEC("?tc")
int bad(void *ctx)
{
	*(volatile int *) 0 = 1; /* the verifier refuses this */
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
