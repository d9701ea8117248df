/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* cgroup/connect4 and cgroup/getpeername4: another port than the one that was asked for. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

__u32 wanted, given;

SEC("cgroup/connect4")
int redirects(struct bpf_sock_addr *ctx)
{
	if (bpf_ntohs(ctx->user_port) == wanted)
		ctx->user_port = bpf_htons(given);
	return 1;
}

SEC("cgroup/getpeername4")
int hides(struct bpf_sock_addr *ctx)
{
	if (bpf_ntohs(ctx->user_port) == given)
		ctx->user_port = bpf_htons(wanted);
	return 1;
}

char LICENSE[] SEC("license") = "GPL";
