/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A stack trace map: the kernel's own stack under a test run. */
#include <skep/bpf.h>

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 16);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, 127 * sizeof(__u64));
} stacks SEC(".maps");

long id = -1;

SEC("raw_tp/sys_enter")
int take(void *ctx)
{
	id = bpf_get_stackid(ctx, &stacks, 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
