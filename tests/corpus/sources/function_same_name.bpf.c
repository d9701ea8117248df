/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Linked with function_same_name_2: both have a static function and a static variable "own". */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern int other(int n);
extern int shared_number;

static volatile int own_number = 5;

static __attribute__((noinline)) int own(int n)
{
	return n + own_number;
}

SEC("tc")
int first(struct __sk_buff *skb)
{
	return own(100) + other(1000) + shared_number;
}

char LICENSE[] SEC("license") = "GPL";
