/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Addresses of kernel symbols whose types BTF does not know. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern const void vfs_read __ksym;
extern const void schedule __ksym;
extern const void skep_no_such_symbol __ksym __weak;

__u64 read, sched, missing = 1;

SEC("raw_tp/sys_enter")
int asks(void *ctx)
{
	read = (__u64) &vfs_read;
	sched = (__u64) &schedule;
	missing = (__u64) &skep_no_such_symbol;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
