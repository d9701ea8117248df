/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Local storage of sockets. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u32);
} sent SEC(".maps");

__u32 packets, most;

SEC("cgroup_skb/egress")
int count(struct __sk_buff *skb)
{
	struct bpf_sock *sock = skb->sk;
	__u32 *value;

	if (!sock)
		return 1;
	sock = bpf_sk_fullsock(sock);
	if (!sock)
		return 1;
	value = bpf_sk_storage_get(&sent, sock, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (value) {
		*value += 1;
		packets++;
		if (*value > most)
			most = *value;
	}
	return 1;
}

char LICENSE[] SEC("license") = "GPL";
