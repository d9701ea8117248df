/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* struct_ops: a congestion control algorithm of TCP made of BPF programs. */
#include <skep/bpf.h>

struct sock;
struct ack_sample;
struct tcp_sock { __u32 snd_cwnd, snd_ssthresh; } SKEP_CORE;
struct tcp_congestion_ops {
	__u32 (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
	__u32 (*undo_cwnd)(struct sock *sk);
	void (*init)(struct sock *sk);
	char name[16];
};

__u64 started, avoided;

SEC("struct_ops/corpus_init")
void BPF_PROG(corpus_init, struct sock *sk)
{
	started++;
}

SEC("struct_ops/corpus_ssthresh")
__u32 BPF_PROG(corpus_ssthresh, struct sock *sk)
{
	return 2;
}

SEC("struct_ops/corpus_undo")
__u32 BPF_PROG(corpus_undo, struct sock *sk)
{
	return ((struct tcp_sock *) sk)->snd_cwnd;
}

SEC("struct_ops/corpus_avoid")
void BPF_PROG(corpus_avoid, struct sock *sk, __u32 ack, __u32 acked)
{
	avoided++;
}

SEC(".struct_ops")
struct tcp_congestion_ops corpus = {
	.init = (void *) corpus_init,
	.ssthresh = (void *) corpus_ssthresh,
	.cong_avoid = (void *) corpus_avoid,
	.undo_cwnd = (void *) corpus_undo,
	.name = "skep_corpus",
};

char LICENSE[] SEC("license") = "GPL";
