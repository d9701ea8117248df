/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* cgroup/dev: a device that nobody in the group may open. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

__u64 asked;

SEC("cgroup/dev")
int full(struct bpf_cgroup_dev_ctx *ctx)
{
	asked++;
	return !(ctx->major == 1 && ctx->minor == 7);
}

char LICENSE[] SEC("license") = "GPL";
