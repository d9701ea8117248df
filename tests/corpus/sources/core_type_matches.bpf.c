/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* CO-RE kind 12, matching: names and members, not only the kind. */
#include <skep/bpf.h>

struct list_head { struct list_head *next, *prev; } SKEP_CORE;
struct list_head___wrong { struct list_head *next, *before; } SKEP_CORE;
struct list_head___part { struct list_head *prev; } SKEP_CORE;
enum bpf_attach_type___part { BPF_CGROUP_INET_INGRESS = 0, BPF_TRACE_FENTRY = 24 };
enum bpf_attach_type___wrong { BPF_NO_SUCH_ATTACHMENT = 3 };

__u32 answers;

SEC("raw_tp/sys_enter")
int ask(void *ctx)
{
	answers = bpf_core_type_matches(struct list_head) |
		  bpf_core_type_matches(struct list_head___wrong) << 1 |
		  bpf_core_type_matches(struct list_head___part) << 2 |
		  bpf_core_type_matches(enum bpf_attach_type___part) << 3 |
		  bpf_core_type_matches(enum bpf_attach_type___wrong) << 4;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
