/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* cgroup_skb: packets of a control group, either way, and the name without a direction. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("cgroup_skb/ingress")
int in(struct __sk_buff *skb)
{
	return skb->len > 60;
}

SEC("cgroup_skb/egress")
int out(struct __sk_buff *skb)
{
	return skb->len > 60 ? 0 : 1;
}

SEC("cgroup/skb")
int any(struct __sk_buff *skb)
{
	return 1;
}

char LICENSE[] SEC("license") = "GPL";
