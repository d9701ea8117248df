/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A cgroup array: is the caller in that group? */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} groups SEC(".maps");

long inside, unset;

SEC("raw_tp/sys_enter")
int ask(void *ctx)
{
	inside = bpf_current_task_under_cgroup(&groups, 0);
	unset = bpf_current_task_under_cgroup(&groups, 1);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
