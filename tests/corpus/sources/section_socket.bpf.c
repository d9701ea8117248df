/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* socket: a filter returns how much of a packet to keep; a name after the slash means nothing. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("socket")
int half(struct __sk_buff *skb)
{
	return skb->len / 2;
}

SEC("socket/2")
int numbered(struct __sk_buff *skb)
{
	return skb->protocol == 0xdd86 ? 2 : 3; /* network byte order */
}

char LICENSE[] SEC("license") = "GPL";
