/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* netfilter: a verdict at a hook of the network stack. */
#include <skep/bpf.h>

struct bpf_nf_ctx {
	const void *state;
	const void *skb;
};

SEC("netfilter")
int accepts(struct bpf_nf_ctx *ctx)
{
	return 1;
}

char LICENSE[] SEC("license") = "GPL";
