/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* syscall: a program that is only ever run by hand, with a context of its own. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct work {
	__u32 a, b;
	__u64 product;
};

SEC("syscall")
int multiply(struct work *work)
{
	work->product = (__u64) work->a * work->b;
	return 5;
}

char LICENSE[] SEC("license") = "GPL";
