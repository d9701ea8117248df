/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* sk_skb: what arrives at a socket of a sock map is parsed, and dropped by its first byte. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} sockets SEC(".maps");

__u64 parsed, dropped;

SEC("sk_skb/stream_parser")
int parses(struct __sk_buff *skb)
{
	parsed++;
	return skb->len;
}

SEC("sk_skb/stream_verdict")
int decides(struct __sk_buff *skb)
{
	__u8 first = 0;

	bpf_skb_load_bytes(skb, 0, &first, 1);
	if (first == 'd') {
		dropped++;
		return SK_DROP;
	}
	return SK_PASS;
}

char LICENSE[] SEC("license") = "GPL";
