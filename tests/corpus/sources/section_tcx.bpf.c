/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* tcx/ and netkit/: classifiers that say where they will be attached. */
#include <skep/bpf.h>

SEC("tcx/ingress")
int in(void *ctx)
{
	return 1;
}

SEC("tcx/egress")
int out(void *ctx)
{
	return 2;
}

SEC("tc/ingress")
int in_short(void *ctx)
{
	return 3;
}

SEC("netkit/primary")
int primary(void *ctx)
{
	return 4;
}

SEC("netkit/peer")
int peer(void *ctx)
{
	return 5;
}

char LICENSE[] SEC("license") = "GPL";
