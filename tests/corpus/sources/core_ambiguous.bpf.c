/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A name that several kernel types have: fine as long as all of them say the same. */
#include <skep/bpf.h>

/* Kernels have two or three of each of these in their BTF, from different files. */
struct list_head { void *next, *prev; } SKEP_CORE;
typedef unsigned char u8___any;

__u64 next = 7, previous, size;

SEC("raw_tp/sys_enter")
int ask(void *ctx)
{
	next = bpf_core_field_offset(struct list_head, next);
	previous = bpf_core_field_offset(struct list_head, prev);
	size = bpf_core_type_size(u8___any);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
