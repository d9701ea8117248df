/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* lwt_in, lwt_out, lwt_xmit and lwt_seg6local: programs of routes. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("lwt_in")
int in(struct __sk_buff *skb)
{
	return skb->len == 50 ? BPF_DROP : BPF_OK;
}

SEC("lwt_out")
int out(struct __sk_buff *skb)
{
	return skb->len == 50 ? BPF_OK : BPF_DROP;
}

SEC("lwt_xmit")
int xmit(struct __sk_buff *skb)
{
	return BPF_REDIRECT;
}

SEC("lwt_seg6local")
int local(struct __sk_buff *skb)
{
	return BPF_LWT_REROUTE;
}

char LICENSE[] SEC("license") = "GPL";
