/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A section name that means nothing: its program stays in the spec and is not loaded. */
#include <skep/bpf.h>

int ran;

SEC("tc")
int known(void *ctx)
{
	ran++;
	return 0;
}

SEC("no_such_kind/of_program")
int unknown(void *ctx)
{
	return 1;
}

char LICENSE[] SEC("license") = "GPL";
