/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A program of several thousand instructions. */
#include <skep/bpf.h>

__u64 state = 1;

SEC("tc")
int mixes(void *ctx)
{
	__u64 x = state;

#pragma clang loop unroll(full)
	for (int i = 0; i < 1200; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		barrier_var(x);
	}
	state = x;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
