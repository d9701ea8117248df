/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A weak function, used as it is when nobody has a better one. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

__weak __attribute__((noinline)) int choice(int n)
{
	volatile int forty = 40;

	return forty + n;
}

SEC("tc")
int asks(struct __sk_buff *skb)
{
	return choice(skb->len - 62);
}

char LICENSE[] SEC("license") = "GPL";
