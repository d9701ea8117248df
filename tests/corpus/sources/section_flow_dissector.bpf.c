/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* flow_dissector: a packet's addresses and ports, by a program. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("flow_dissector")
int dissects(struct __sk_buff *skb)
{
	struct bpf_flow_keys *keys = skb->flow_keys;

	keys->n_proto = 0x0008; /* IPv4, network byte order */
	keys->ip_proto = 17;
	keys->sport = 0x1111;
	keys->dport = 0x2222;
	keys->thoff = keys->nhoff + 20;
	return BPF_OK;
}

char LICENSE[] SEC("license") = "GPL";
