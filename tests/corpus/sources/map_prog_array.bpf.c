/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A program array with its programs declared, and tail calls through it. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

int second(struct __sk_buff *skb);
int third(struct __sk_buff *skb);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct __sk_buff *));
} next SEC(".maps") = {
	.values = { [1] = (void *) &second, [3] = (void *) &third },
};

__u32 trail;

SEC("tc")
int first(struct __sk_buff *skb)
{
	trail = 1;
	bpf_tail_call(skb, &next, 0); /* empty: falls through */
	bpf_tail_call(skb, &next, 1);
	return 1;
}

SEC("tc")
int second(struct __sk_buff *skb)
{
	trail = trail * 10 + 2;
	bpf_tail_call_static(skb, &next, 3);
	return 2;
}

SEC("tc")
int third(struct __sk_buff *skb)
{
	trail = trail * 10 + 3;
	return 3;
}

char LICENSE[] SEC("license") = "GPL";
