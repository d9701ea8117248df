/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* sk_lookup: which socket gets a connection. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("sk_lookup")
int by_port(struct bpf_sk_lookup *ctx)
{
	return ctx->local_port == 7 ? SK_DROP : SK_PASS;
}

char LICENSE[] SEC("license") = "GPL";
