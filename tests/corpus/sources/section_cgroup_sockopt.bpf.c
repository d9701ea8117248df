/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* cgroup/getsockopt and cgroup/setsockopt: an option that is not there, and one that is refused. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define LEVEL 0x5ee9

int stored;

SEC("cgroup/setsockopt")
int set(struct bpf_sockopt *ctx)
{
	int *value = ctx->optval;

	if (ctx->level != LEVEL)
		return 1;
	if ((void *) (value + 1) > ctx->optval_end)
		return 0;
	stored = *value;
	ctx->optlen = -1; /* the kernel's own handler is left out */
	return 1;
}

SEC("cgroup/getsockopt")
int get(struct bpf_sockopt *ctx)
{
	int *value = ctx->optval;

	if (ctx->level != LEVEL)
		return 1;
	if ((void *) (value + 1) > ctx->optval_end)
		return 0;
	*value = stored + 1;
	ctx->optlen = sizeof(*value);
	barrier(); /* two stores: the context takes no wider one */
	ctx->retval = 0;
	return 1;
}

char LICENSE[] SEC("license") = "GPL";
