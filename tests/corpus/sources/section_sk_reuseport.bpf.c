/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* sk_reuseport: which of several sockets on one port gets a datagram. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_REUSEPORT_SOCKARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} sockets SEC(".maps");

__u64 asked;

SEC("sk_reuseport")
int second(struct sk_reuseport_md *ctx)
{
	__u32 key = 1;

	asked++;
	return bpf_sk_select_reuseport(ctx, &sockets, &key, 0) ? SK_DROP : SK_PASS;
}

SEC("sk_reuseport/migrate")
int migrates(struct sk_reuseport_md *ctx)
{
	return SK_PASS;
}

char LICENSE[] SEC("license") = "GPL";
