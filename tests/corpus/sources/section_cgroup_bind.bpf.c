/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* cgroup/bind4, cgroup/post_bind4 and cgroup/sock_create: what sockets may do. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

__u64 created, bound;
__u32 port, forbidden;

SEC("cgroup/sock_create")
int creates(struct bpf_sock *ctx)
{
	created++;
	return 1;
}

SEC("cgroup/bind4")
int binds(struct bpf_sock_addr *ctx)
{
	return !forbidden || bpf_ntohs(ctx->user_port) != forbidden;
}

SEC("cgroup/post_bind4")
int is_bound(struct bpf_sock *ctx)
{
	bound++;
	port = ctx->src_port;
	return 1;
}

char LICENSE[] SEC("license") = "GPL";
