/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* cgroup/connect_unix: connections to sockets in the file system. */
#include <skep/bpf.h>

__u64 connections;

SEC("cgroup/connect_unix")
int counts(void *ctx)
{
	connections++;
	return 1;
}

char LICENSE[] SEC("license") = "GPL";
