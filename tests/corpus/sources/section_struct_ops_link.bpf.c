/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* .struct_ops.link: the same kind of thing, attached by a link. */
#include <skep/bpf.h>

struct sock;
struct tcp_sock { __u32 snd_cwnd; } SKEP_CORE;
struct tcp_congestion_ops {
	__u32 (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
	__u32 (*undo_cwnd)(struct sock *sk);
	void (*init)(struct sock *sk);
	char name[16];
};

__u64 started;

SEC("struct_ops")
void BPF_PROG(linked_init, struct sock *sk)
{
	started++;
}

SEC("struct_ops")
__u32 BPF_PROG(linked_ssthresh, struct sock *sk)
{
	return 2;
}

SEC("struct_ops")
__u32 BPF_PROG(linked_undo, struct sock *sk)
{
	return ((struct tcp_sock *) sk)->snd_cwnd;
}

SEC("struct_ops")
void BPF_PROG(linked_avoid, struct sock *sk, __u32 ack, __u32 acked)
{
}

SEC(".struct_ops.link")
struct tcp_congestion_ops linked = {
	.init = (void *) linked_init,
	.ssthresh = (void *) linked_ssthresh,
	.cong_avoid = (void *) linked_avoid,
	.undo_cwnd = (void *) linked_undo,
	.name = "skep_linked",
};

char LICENSE[] SEC("license") = "GPL";
