/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Programs that start, with their arguments; attempts that fail; and how the started ones end.
 *
 * Records have three sizes, told apart by `kind` and the record's length: an end is a `struct
 * event` alone, a start or a failed attempt has the file name and the arguments after it, in
 * as few bytes as do.
 */
#include <skep/bpf.h>

#define NAME 128
#define SHORT 320
#define LONG 8064
#define ARGUMENTS 20 /* of a failed attempt, where each argument is read on its own, */
#define ARGUMENT 128 /* into a place of this size */
#define MAX_ERRNO 4095
#define SIGNAL_GROUP_EXIT 4 /* include/linux/sched/signal.h */

/* The numbers of execve and execveat differ by machine: the loader sets them. */
const volatile bool starts_only = false; /* ends are not reported: remember nothing */
const volatile __s32 nr_execve = 59;
const volatile __s32 nr_execveat = 322;

const volatile __u32 only_uid = (__u32) -1; /* -1: every user */
const volatile __u32 only_parent = 0; /* 0: every parent */

enum kind {
	STARTED = 1,
	FAILED = 2,
	ENDED = 3,
};


struct signal_struct {
	struct {
		int counter;
	} live;
	unsigned int flags;
	int group_exit_code;
} SKEP_CORE;

struct mm_struct {
	unsigned long arg_start;
	unsigned long arg_end;
} SKEP_CORE;

struct task_struct {
	int tgid;
	int exit_code;
	char comm[16];
	struct mm_struct *mm;
	struct signal_struct *signal;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
} SKEP_CORE;

struct linux_binprm {
	const char *filename;
} SKEP_CORE;

struct event {
	__u64 time_ns; /* CLOCK_MONOTONIC */
	__u64 duration_ns; /* of what ended, since it was started by exec */
	__u32 kind;
	__u32 pid;
	__u32 parent_pid;
	__u32 uid;
	__s32 result; /* FAILED: negative errno; ENDED: status as wait(2) gives it */
	__u32 size; /* STARTED: bytes of arguments that follow, each ending in a NUL; FAILED: places used */
	__u32 cut; /* 1: there were more */
	char comm[16];
	char parent[16];
};

struct short_start {
	struct event event;
	char file[NAME];
	char arguments[SHORT];
};

struct long_start {
	struct event event;
	char file[NAME];
	char arguments[LONG];
};

struct attempt {
	struct event event;
	char file[NAME];
	char arguments[ARGUMENTS][ARGUMENT];
};

SKEP_RINGBUF(events, struct event, 4 * 1024 * 1024);

/* Since when a program has been running, by process id. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, __u32);
	__type(value, __u64);
} running SEC(".maps");

__u64 untracked = 0; /* starts whose end will not be reported, because `running` was full */

static __always_inline void *reserve(__u64 size)
{
	void *record = bpf_ringbuf_reserve(&events, size, 0);

	skep_ledger_add(&events_ledger, 1, !record);
	return record;
}

static __always_inline bool wanted(__u32 uid, __u32 parent)
{
	return (only_uid == (__u32) -1 || only_uid == uid) &&
	       (!only_parent || only_parent == parent);
}

static __always_inline void describe(struct event *event, __u32 kind, struct task_struct *task,
				     __u64 now)
{
	event->time_ns = now;
	event->duration_ns = 0;
	event->kind = kind;
	event->pid = bpf_get_current_pid_tgid() >> 32;
	event->parent_pid = BPF_CORE_READ(task, real_parent, tgid);
	event->uid = bpf_get_current_uid_gid();
	event->result = 0;
	event->size = 0;
	event->cut = 0;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	BPF_CORE_READ_STR_INTO(&event->parent, task, real_parent, comm);
}

/* `room` is a constant at every call, as the verifier must see. */
static __always_inline void take_arguments(struct event *event, char *arguments, __u64 room,
					   __u64 start, __u64 size)
{
	if (size > room) {
		size = room;
		event->cut = 1;
	}
	barrier_var(size);
	if (size && size <= room && !bpf_probe_read_user(arguments, size, (const void *) start))
		event->size = size;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(started, struct task_struct *task, int old_pid, struct linux_binprm *program)
{
	__u64 now = bpf_ktime_get_ns(), start, size;
	__u32 pid = task->tgid;
	struct short_start *small;
	struct long_start *large;

	if (!wanted(bpf_get_current_uid_gid(), task->real_parent->tgid)) {
		bpf_map_delete_elem(&running, &pid); /* what it was before may have been wanted */
		return 0;
	}
	if (!starts_only && bpf_map_update_elem(&running, &pid, &now, BPF_ANY))
		__sync_fetch_and_add(&untracked, 1);
	start = task->mm->arg_start;
	size = task->mm->arg_end - start;
	if (size <= SHORT) {
		small = reserve(sizeof(*small));
		if (!small)
			return 0;
		describe(&small->event, STARTED, task, now);
		bpf_probe_read_kernel_str(small->file, NAME, program->filename);
		take_arguments(&small->event, small->arguments, SHORT, start, size);
		skep_submit(small);
	} else {
		large = reserve(sizeof(*large));
		if (!large)
			return 0;
		describe(&large->event, STARTED, task, now);
		bpf_probe_read_kernel_str(large->file, NAME, program->filename);
		take_arguments(&large->event, large->arguments, LONG, start, size);
		skep_submit(large);
	}
	return 0;
}

/* Loaded only on demand: it looks at every system call's result. */
SEC("tp_btf/sys_exit")
int BPF_PROG(returned, struct pt_regs *regs, long result)
{
	struct task_struct *task;
	struct attempt *attempt;
	const char *const *list;
	const char *file, *argument;
	__u32 i;
	int number;
	long n;

	if (result >= 0 || result < -MAX_ERRNO)
		return 0;
	number = (int) PT_REGS_SYSCALL_NR(regs);
	if (number == nr_execve) {
		file = (void *) PT_REGS_PARM1_SYSCALL(regs);
		list = (void *) PT_REGS_PARM2_SYSCALL(regs);
	} else if (number == nr_execveat) {
		file = (void *) PT_REGS_PARM2_SYSCALL(regs);
		list = (void *) PT_REGS_PARM3_SYSCALL(regs);
	} else {
		return 0;
	}
	task = (void *) bpf_get_current_task();
	if (!wanted(bpf_get_current_uid_gid(), BPF_CORE_READ(task, real_parent, tgid)))
		return 0;
	attempt = reserve(sizeof(*attempt));
	if (!attempt)
		return 0;
	describe(&attempt->event, FAILED, task, bpf_ktime_get_ns());
	attempt->event.result = result;
	if (bpf_probe_read_user_str(attempt->file, NAME, file) < 0)
		attempt->file[0] = 0;
	for (i = 0; i <= ARGUMENTS; i++) {
		argument = 0;
		if (bpf_probe_read_user(&argument, sizeof(argument), &list[i]) || !argument)
			break;
		if (i == ARGUMENTS) {
			attempt->event.cut = 1;
			break;
		}
		n = bpf_probe_read_user_str(attempt->arguments[i], ARGUMENT, argument);
		if (n <= 0)
			break;
		if (n == ARGUMENT)
			attempt->event.cut = 1;
		attempt->event.size = i + 1;
	}
	skep_submit(attempt);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(ended, struct task_struct *task)
{
	struct signal_struct *signal = task->signal;
	__u64 now = bpf_ktime_get_ns(), since, *found;
	__u32 pid = task->tgid;
	struct event *event;

	if (signal->live.counter > 0)
		return 0; /* a thread; the process lives on */
	found = bpf_map_lookup_elem(&running, &pid);
	if (!found)
		return 0;
	since = *found;
	/* Two last threads may come here at once: the one that deletes it reports. */
	if (bpf_map_delete_elem(&running, &pid))
		return 0;
	event = skep_reserve(events);
	if (!event)
		return 0;
	describe(event, ENDED, task, now);
	event->duration_ns = now - since;
	event->result = signal->flags & SIGNAL_GROUP_EXIT ? signal->group_exit_code
							   : task->group_leader->exit_code;
	BPF_CORE_READ_STR_INTO(&event->comm, task, group_leader, comm);
	skep_submit(event);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
