/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How long tasks wait on a run queue: from the moment they could run (woken up, created, or
 * taken off a CPU while still runnable) to the moment they do.
 */
#include <skep/bpf.h>

#define TASK_RUNNING 0
#define TASK_DEAD 0x80 /* include/linux/sched.h, since 4.14 */

enum group {
	EVERYTHING = 0,
	PROCESS = 1,
	THREAD = 2,
	PID_NAMESPACE = 3,
};

struct ns_common {
	unsigned int inum;
} SKEP_CORE;

struct pid_namespace {
	struct ns_common ns;
} SKEP_CORE;

struct nsproxy {
	struct pid_namespace *pid_ns_for_children;
} SKEP_CORE;

struct task_struct {
	unsigned int __state;
	int pid;
	int tgid;
	struct task_struct *group_leader;
	struct nsproxy *nsproxy;
	char comm[16];
} SKEP_CORE;

/* Before 5.14, commit 2f064a59a11f ("sched: Change task_struct::state"). */
struct task_struct___before_5_14 {
	long state;
} SKEP_CORE;

struct group_histogram {
	char comm[16];
	struct skep_hist waits;
};

const volatile __u32 only_tgid = 0; /* 0: every process */
const volatile __u32 group_by = EVERYTHING;
const volatile __u64 unit_ns = 1000; /* slots count in this unit; sums are in nanoseconds */

/* Waits that were not counted, because a map was full. */
__u64 untracked = 0; /* waiting */
__u64 ungrouped = 0; /* groups */

/* Since when a task that could run has been waiting, by thread id. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, __u64);
} waiting SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct skep_hist);
} total SEC(".maps");

/* By process, thread or pid namespace. Not per CPU: that would be 10240 histograms for each. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u32);
	__type(value, struct group_histogram);
} groups SEC(".maps");

static const struct group_histogram nothing;

static __always_inline long state_of(struct task_struct *task)
{
	struct task_struct___before_5_14 *old = (void *) task;

	if (bpf_core_field_exists(old->state))
		return old->state;
	return task->__state;
}

static __always_inline int starts_waiting(struct task_struct *task)
{
	__u32 pid = task->pid;
	__u64 now;

	if (!pid || (only_tgid && only_tgid != (__u32) task->tgid))
		return 0;
	now = bpf_ktime_get_ns();
	if (bpf_map_update_elem(&waiting, &pid, &now, BPF_ANY))
		__sync_fetch_and_add(&untracked, 1);
	return 0;
}

static __always_inline struct group_histogram *group_of(struct task_struct *task)
{
	struct group_histogram *found;
	__u32 key;

	if (group_by == PROCESS)
		key = task->tgid;
	else if (group_by == THREAD)
		key = task->pid;
	else
		key = task->nsproxy->pid_ns_for_children->ns.inum; /* 0 for a task that exits */
	found = bpf_map_lookup_elem(&groups, &key);
	if (found)
		return found;
	bpf_map_update_elem(&groups, &key, &nothing, BPF_NOEXIST);
	found = bpf_map_lookup_elem(&groups, &key);
	if (!found)
		__sync_fetch_and_add(&ungrouped, 1);
	return found;
}

SEC("tp_btf/sched_wakeup")
int BPF_PROG(woken, struct task_struct *task)
{
	return starts_waiting(task);
}

SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(created, struct task_struct *task)
{
	return starts_waiting(task);
}

/*
 * 5.18 appended prev_state to the arguments; the first three are the same on every release.
 * Reading the state from prev is safe here: a task that is woken meanwhile is TASK_WAKING,
 * not TASK_RUNNING, until this switch is over.
 */
SEC("tp_btf/sched_switch")
int BPF_PROG(switched, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	long state = state_of(prev);
	struct group_histogram *group;
	struct skep_hist *all;
	__u32 pid, slot, zero = 0;
	__u64 *since;
	__s64 waited;

	if (state == TASK_RUNNING) {
		starts_waiting(prev);
	} else if (state & TASK_DEAD) {
		pid = prev->pid;
		bpf_map_delete_elem(&waiting, &pid);
	}

	if (only_tgid && only_tgid != (__u32) next->tgid)
		return 0;
	pid = next->pid;
	since = bpf_map_lookup_elem(&waiting, &pid);
	if (!since)
		return 0;
	waited = bpf_ktime_get_ns() - *since;
	bpf_map_delete_elem(&waiting, &pid);
	if (waited < 0)
		return 0;
	slot = skep_log2(waited / unit_ns);
	barrier_var(slot); /* the compiler knows that it is below 64; not every verifier does */
	slot &= 63;

	if (group_by == EVERYTHING) {
		all = bpf_map_lookup_elem(&total, &zero);
		if (!all)
			return 0;
		all->sum += waited; /* interrupts are off: nothing else counts on this CPU */
		all->slots[slot] += 1;
		return 0;
	}
	group = group_of(next);
	if (!group)
		return 0;
	__sync_fetch_and_add(&group->waits.sum, waited);
	__sync_fetch_and_add(&group->waits.slots[slot], 1);
	if (group_by == PROCESS)
		BPF_CORE_READ_STR_INTO(&group->comm, next, group_leader, comm);
	else if (group_by == THREAD)
		BPF_CORE_READ_STR_INTO(&group->comm, next, comm);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
