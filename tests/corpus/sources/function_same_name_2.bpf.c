/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The other half of function_same_name. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

int shared_number = 10000;

static volatile int own_number = 7;

static __attribute__((noinline)) int own(int n)
{
	return n * own_number;
}

__attribute__((noinline)) int other(int n)
{
	return own(n) + 1;
}

SEC("tc")
int second(struct __sk_buff *skb)
{
	return own(3);
}

char LICENSE[] SEC("license") = "GPL";
