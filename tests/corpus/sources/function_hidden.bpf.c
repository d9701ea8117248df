/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A global but hidden function: for the verifier a static one, so it may take any pointer. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct pair {
	__u64 *first, *second;
};

__hidden __attribute__((noinline)) __u64 sum(struct pair *pair)
{
	return *pair->first + *pair->second;
}

SEC("tc")
int asks(struct __sk_buff *skb)
{
	__u64 a = 30, b = 12;
	struct pair pair = { &a, &b };

	barrier_var(a);
	return sum(&pair);
}

char LICENSE[] SEC("license") = "GPL";
