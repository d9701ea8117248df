/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Members of anonymous structures and unions, on either side. */
#include <skep/bpf.h>

struct page { unsigned long flags; unsigned int page_type; } SKEP_CORE; /* deep in the kernel's */
struct mm_struct { struct { unsigned long total_vm; }; } SKEP_CORE; /* as the kernel's */
struct mm_struct___flat { unsigned long total_vm; } SKEP_CORE;
struct mm_struct___deep { union { struct { struct { unsigned long total_vm; }; }; }; } SKEP_CORE;

__u64 page_type, as_it_is, flat, deep;

SEC("raw_tp/sys_enter")
int ask(void *ctx)
{
	page_type = bpf_core_field_exists(struct page, page_type);
	as_it_is = bpf_core_field_offset(struct mm_struct, total_vm);
	flat = bpf_core_field_offset(struct mm_struct___flat, total_vm);
	deep = bpf_core_field_offset(struct mm_struct___deep, total_vm);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
