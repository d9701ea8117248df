/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* lsm_cgroup: a security hook for the processes of one control group. */
#include <skep/bpf.h>

__u64 created;

SEC("lsm_cgroup/socket_create")
int BPF_PROG(counts, int family, int type, int protocol, int kern)
{
	created++;
	return type == 3 ? 0 : 1; /* no raw sockets */
}

char LICENSE[] SEC("license") = "GPL";
