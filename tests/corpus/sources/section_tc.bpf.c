/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* tc, and the older names classifier and action. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("tc")
int marks(struct __sk_buff *skb)
{
	skb->mark = 77;
	return 1;
}

SEC("classifier")
int classifies(struct __sk_buff *skb)
{
	skb->priority = skb->mark + 1;
	return 2;
}

SEC("action")
int acts(struct __sk_buff *skb)
{
	skb->cb[0] = skb->len;
	return 3;
}

char LICENSE[] SEC("license") = "GPL";
