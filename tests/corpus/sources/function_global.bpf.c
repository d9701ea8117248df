/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Global functions, which the verifier checks on their own, with a pointer to a context. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

__attribute__((noinline)) int verdict(struct xdp_md *ctx)
{
	volatile int pass = XDP_PASS;

	return ctx->data_end - ctx->data > 10 ? pass : XDP_DROP;
}

__attribute__((noinline)) int length(const int *number)
{
	return number ? *number * 3 : -1;
}

int last;

SEC("xdp")
int asks(struct xdp_md *ctx)
{
	int five = 5;

	last = length(&five);
	return verdict(ctx);
}

char LICENSE[] SEC("license") = "GPL";
