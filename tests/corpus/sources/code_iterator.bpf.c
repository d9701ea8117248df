/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Open-coded iterators: loops that the verifier checks once. */
#include <skep/bpf.h>

__u64 sum;
__u32 rounds;

SEC("raw_tp/sys_enter")
int loops(void *ctx)
{
	__u64 total = 0;
	int i;

	bpf_for(i, 10, 1000)
		total += i;
	bpf_repeat(7)
		rounds++;
	sum = total;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
