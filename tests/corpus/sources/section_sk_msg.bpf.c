/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* sk_msg: what is written to a socket of a sock map comes out of another. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} sockets SEC(".maps");

__u32 size;

SEC("sk_msg")
int diverts(struct sk_msg_md *msg)
{
	size += msg->size;
	return bpf_msg_redirect_map(msg, &sockets, 1, BPF_F_INGRESS);
}

char LICENSE[] SEC("license") = "GPL";
