/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The old way to read packets: ld_abs and ld_ind, which end the program when there is no byte. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

unsigned long long load_byte(void *skb, unsigned long long offset) __asm__("llvm.bpf.load.byte");
unsigned long long load_half(void *skb, unsigned long long offset) __asm__("llvm.bpf.load.half");

SEC("socket")
int protocol(struct __sk_buff *skb)
{
	unsigned long long first = load_byte(skb, 0);

	return first * 256 + load_half(skb, first);
}

SEC("socket")
int beyond(struct __sk_buff *skb)
{
	return load_byte(skb, 5000) + 1; /* not reached: returns 0 */
}

char LICENSE[] SEC("license") = "GPL";
