/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Programs of several sections that share functions, of which each uses some. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

__u32 calls;

static __attribute__((noinline)) int a(int n)
{
	calls++;
	return n + 1;
}

static __attribute__((noinline)) int b(int n)
{
	calls++;
	return a(n) + 10;
}

static __attribute__((noinline)) int c(int n)
{
	calls++;
	return b(n) + a(n) + 100;
}

SEC("tc")
int uses_a(void *ctx)
{
	return a(0);
}

SEC("xdp")
int uses_c(void *ctx)
{
	return c(0);
}

SEC("cgroup_skb/ingress")
int uses_b(void *ctx)
{
	return b(0) == 11;
}

char LICENSE[] SEC("license") = "GPL";
