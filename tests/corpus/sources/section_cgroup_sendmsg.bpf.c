/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* cgroup/sendmsg4 and cgroup/recvmsg4: datagrams are sent elsewhere, and the answer looks right. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

__u32 wanted, given;

SEC("cgroup/sendmsg4")
int sends(struct bpf_sock_addr *ctx)
{
	if (bpf_ntohs(ctx->user_port) == wanted)
		ctx->user_port = bpf_htons(given);
	return 1;
}

SEC("cgroup/recvmsg4")
int receives(struct bpf_sock_addr *ctx)
{
	if (bpf_ntohs(ctx->user_port) == given)
		ctx->user_port = bpf_htons(wanted);
	return 1;
}

char LICENSE[] SEC("license") = "GPL";
