/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* xdp.frags: a packet of several pages. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

__u64 whole, linear;

SEC("xdp.frags")
int lengths(struct xdp_md *ctx)
{
	whole = bpf_xdp_get_buff_len(ctx);
	linear = ctx->data_end - ctx->data;
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
