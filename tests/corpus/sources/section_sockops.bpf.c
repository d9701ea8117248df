/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* sockops: a TCP connection tells about itself. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

__u64 active, passive;
__u32 remote;

SEC("sockops")
int told(struct bpf_sock_ops *ctx)
{
	switch (ctx->op) {
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		active++;
		remote = ctx->remote_ip4;
		break;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		passive++;
		break;
	}
	return 1;
}

char LICENSE[] SEC("license") = "GPL";
