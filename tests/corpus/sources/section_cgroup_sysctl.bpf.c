/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* cgroup/sysctl: what is read, by name. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char name[64], value[16];
__u32 writes;

SEC("cgroup/sysctl")
int sees(struct bpf_sysctl *ctx)
{
	bpf_sysctl_get_name(ctx, name, sizeof(name), 0);
	bpf_sysctl_get_current_value(ctx, value, sizeof(value));
	writes += ctx->write;
	return 1;
}

char LICENSE[] SEC("license") = "GPL";
