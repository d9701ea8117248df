/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* XDP: the packet decides. */
#include <skep/bpf.h>

SEC("xdp")
int by_type(struct xdp_md *ctx)
{
	__u8 *data = (void *) (long) ctx->data;

	if (data + 14 > (__u8 *) (long) ctx->data_end)
		return XDP_ABORTED;
	return data[12] == 0x86 && data[13] == 0xdd ? XDP_DROP : XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
