/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A program that is not under the GPL, with helpers that anybody may call. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

__u64 now;

SEC("tc")
int asks(void *ctx)
{
	now = bpf_get_prandom_u32() | 1ULL << 40;
	return now >> 40;
}

char LICENSE[] SEC("license") = "Proprietary";
