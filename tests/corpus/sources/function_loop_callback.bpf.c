/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* bpf_loop: a function as a callback. */
#include <skep/bpf.h>

struct work {
	__u32 limit, sum;
};

static long add(__u64 index, void *context)
{
	struct work *work = context;

	work->sum += index;
	return work->sum > work->limit;
}

long rounds, stopped;

SEC("tc")
int loops(void *ctx)
{
	struct work all = { 100000, 0 }, some = { 10, 0 };

	rounds = bpf_loop(100, add, &all, 0);
	stopped = bpf_loop(100, add, &some, 0);
	return all.sum;
}

char LICENSE[] SEC("license") = "GPL";
