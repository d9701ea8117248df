// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A typical small object: five programs, four maps, 28 CO-RE relocations.
#include <skep/bpf.h>


struct mm_struct {
	unsigned long arg_start;
	unsigned long arg_end;
	unsigned long start_code;
	unsigned long total_vm;
} __attribute__((preserve_access_index));

struct signal_struct {
	int group_exit_code;
	unsigned long min_flt;
	unsigned long maj_flt;
} __attribute__((preserve_access_index));

struct task_struct {
	int pid;
	int tgid;
	int prio;
	int exit_code;
	unsigned int flags;
	__u64 start_time;
	__u64 utime;
	__u64 stime;
	struct task_struct *real_parent;
	struct mm_struct *mm;
	struct signal_struct *signal;
	char comm[16];
} __attribute__((preserve_access_index));

struct task_struct___old {
	long state;
} __attribute__((preserve_access_index));

struct task_struct___new {
	unsigned int __state;
} __attribute__((preserve_access_index));

struct event {
	__u32 pid;
	__u32 tgid;
	__u32 parent;
	__u32 flags;
	__u64 start;
	__u64 memory;
	__u64 faults;
	char comm[16];
};

SKEP_RINGBUF(events, struct event, 256 * 1024);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u32);
	__type(value, __u64);
} started SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
} slots SEC(".maps");

const volatile __u32 wanted_pid = 0;
const volatile __u64 minimum_ns = 0;
__u64 total;

static __always_inline long state_of(struct task_struct *task)
{
	struct task_struct___new *new = (void *)task;

	if (bpf_core_field_exists(new->__state))
		return BPF_CORE_READ(new, __state);
	return BPF_CORE_READ((struct task_struct___old *)task, state);
}

static __always_inline void fill(struct event *event, struct task_struct *task)
{
	event->pid = BPF_CORE_READ(task, pid);
	event->tgid = BPF_CORE_READ(task, tgid);
	event->parent = BPF_CORE_READ(task, real_parent, tgid);
	event->flags = BPF_CORE_READ(task, flags);
	event->start = BPF_CORE_READ(task, start_time);
	event->memory = BPF_CORE_READ(task, mm, total_vm);
	event->faults = BPF_CORE_READ(task, signal, min_flt);
	BPF_CORE_READ_STR_INTO(&event->comm, task, comm);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task)
{
	struct event *event;

	if (wanted_pid && task->tgid != (int)wanted_pid)
		return 0;
	event = skep_reserve(events);
	if (!event)
		return 0;
	fill(event, task);
	skep_submit(event);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	struct event *event;
	__u32 pid = task->pid;

	bpf_map_delete_elem(&started, &pid);
	event = skep_reserve(events);
	if (!event)
		return 0;
	fill(event, task);
	skep_submit(event);
	return 0;
}

SEC("tp_btf/sched_wakeup")
int BPF_PROG(on_wakeup, struct task_struct *task)
{
	__u32 pid = task->pid;
	__u64 now = bpf_ktime_get_ns();

	bpf_map_update_elem(&started, &pid, &now, BPF_ANY);
	return 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	__u32 pid = next->pid, slot;
	__u64 *since, *count, delta;

	if (state_of(prev) == 0) {
		__u32 running = prev->pid;
		__u64 now = bpf_ktime_get_ns();

		bpf_map_update_elem(&started, &running, &now, BPF_ANY);
	}
	since = bpf_map_lookup_elem(&started, &pid);
	if (!since)
		return 0;
	delta = bpf_ktime_get_ns() - *since;
	if (delta < minimum_ns)
		return 0;
	slot = skep_log2(delta) & 63;
	count = bpf_map_lookup_elem(&slots, &slot);
	if (count)
		*count += 1;
	return 0;
}

SEC("raw_tp/sys_enter")
int count_calls(void *context)
{
	__sync_fetch_and_add(&total, 1);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
