/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* freplace: a program that takes the place of a global function of another one. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("freplace/verdict")
int new_verdict(struct xdp_md *ctx)
{
	return XDP_TX;
}

char LICENSE[] SEC("license") = "GPL";
