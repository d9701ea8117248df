/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A tail call from a subprogram: it returns to the subprogram's caller. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

int target(struct __sk_buff *skb);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct __sk_buff *));
} jumps SEC(".maps") = {
	.values = { (void *) &target },
};

static __attribute__((noinline)) int jump(struct __sk_buff *skb)
{
	volatile int nothing = 0;

	bpf_tail_call_static(skb, &jumps, 0);
	return nothing;
}

SEC("tc")
int target(struct __sk_buff *skb)
{
	return 20;
}

SEC("tc")
int asks(struct __sk_buff *skb)
{
	return jump(skb) + 3;
}

char LICENSE[] SEC("license") = "GPL";
