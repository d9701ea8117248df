/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* xdp/devmap and xdp/cpumap: programs that run in a map; the map looks at the attach type. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_CPUMAP);
	__uint(key_size, sizeof(int));
	__uint(value_size, sizeof(struct bpf_cpumap_val));
	__uint(max_entries, 1);
} cpus SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(key_size, sizeof(int));
	__uint(value_size, sizeof(struct bpf_devmap_val));
	__uint(max_entries, 1);
} devices SEC(".maps");

SEC("xdp/cpumap")
int in_cpumap(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("xdp/devmap")
int in_devmap(struct xdp_md *ctx)
{
	return ctx->egress_ifindex ? XDP_PASS : XDP_DROP;
}

SEC("xdp")
int redirects(struct xdp_md *ctx)
{
	return bpf_redirect_map(&cpus, 0, 0);
}

char LICENSE[] SEC("license") = "GPL";
