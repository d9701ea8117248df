/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A 64-bit enum of the source against the kernel's, whose values do not fit 32 bits. */
#include <skep/bpf.h>

enum skep_flags___none { SKEP_NOT_THERE = 0x100000000000ULL };
enum bpf_func_id___wide { BPF_FUNC_ringbuf_output___wide = 0x1ffffffffULL };

__u64 output;
__u32 exists = 2;
enum skep_own { SKEP_LARGE = 0x123456789abcULL, SKEP_SMALL = 1 } own = SKEP_SMALL;

SEC("raw_tp/sys_enter")
int ask(void *ctx)
{
	output = bpf_core_enum_value(enum bpf_func_id___wide, BPF_FUNC_ringbuf_output___wide);
	exists = bpf_core_enum_value_exists(enum skep_flags___none, SKEP_NOT_THERE);
	own = SKEP_LARGE;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
