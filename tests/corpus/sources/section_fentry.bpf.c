/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* fentry and fexit: arguments and results of kernel functions, here of the test run's own. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

int first, result;
__u64 second_of_two;

SEC("fentry/bpf_fentry_test1")
int BPF_PROG(on_entry, int a)
{
	first = a;
	return 0;
}

SEC("fentry/bpf_fentry_test2")
int BPF_PROG(on_second, int a, __u64 b)
{
	second_of_two = b;
	return 0;
}

SEC("fexit/bpf_fentry_test1")
int BPF_PROG(on_exit, int a, int ret)
{
	result = ret;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
