/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* raw_tracepoint with its arguments from a test run, and raw_tp.w, which may write to them. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

__u64 sum;

SEC("raw_tracepoint/sys_exit")
int adds(struct bpf_raw_tracepoint_args *ctx)
{
	sum = ctx->args[0] + ctx->args[1];
	return (int) sum;
}

SEC("raw_tp.w/nbd_send_request")
int writes(struct bpf_raw_tracepoint_args *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
