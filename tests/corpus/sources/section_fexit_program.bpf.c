/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* fexit at a function of another BPF program. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

__u64 calls;
int result;

SEC("fexit/verdict")
int BPF_PROG(on_verdict, void *xdp, int ret)
{
	calls++;
	result = ret;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
