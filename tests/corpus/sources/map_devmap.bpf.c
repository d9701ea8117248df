/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Maps of devices: an XDP program redirects to one that is there, and to one that is not. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} by_index SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} by_hash SEC(".maps");

int missing;

SEC("xdp")
int redirects(struct xdp_md *ctx)
{
	missing = bpf_redirect_map(&by_index, 1, XDP_PASS);
	if (ctx->data_end - ctx->data > 100)
		return bpf_redirect_map(&by_hash, 1000, XDP_TX);
	return bpf_redirect_map(&by_index, 0, XDP_DROP);
}

char LICENSE[] SEC("license") = "GPL";
