/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Subprograms in odd places: a section of their own, and the section of a program. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

static __attribute__((noinline)) SEC("some/where") int elsewhere(int n)
{
	return n + (int) bpf_get_smp_processor_id() * 0 + 10;
}

static __attribute__((noinline)) SEC("tc") int neighbour(int n)
{
	volatile int three = 3;

	return n * three;
}

SEC("tc")
int calls(struct __sk_buff *skb)
{
	return elsewhere(1) + neighbour(skb->len);
}

SEC("tc")
int calls_too(struct __sk_buff *skb)
{
	return neighbour(elsewhere(skb->len));
}

char LICENSE[] SEC("license") = "GPL";
