/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Local storage of tasks. */
#include <skep/bpf.h>

struct task_struct;

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u64);
} runs SEC(".maps");

__u64 counted;
__u32 own;
long number;

SEC("tp_btf/sys_enter")
int BPF_PROG(count, void *regs, long id)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 *value = bpf_task_storage_get(&runs, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (value && id == number && bpf_get_current_pid_tgid() >> 32 == own)
		counted = ++*value;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
