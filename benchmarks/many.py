"""Write the C source of a large object: fifty programs that share maps and a subprogram."""

from __future__ import annotations

PROGRAMS = 50

# Tracepoints whose first argument is a task; all are in every kernel since 5.15.
TASKS = (
    "sched_wakeup", "sched_wakeup_new", "sched_waking", "sched_process_exit", "sched_process_free",
    "sched_process_fork", "sched_migrate_task", "sched_stat_runtime", "sched_process_exec",
    "sched_wait_task",
)  # fmt: skip
RAW = ("sys_enter", "sys_exit", "sched_switch", "softirq_entry", "hrtimer_start")
SYSCALLS = ("openat", "read", "write", "close", "execve")
# What the programs read, as (type, path of members).
READS = (
    "pid", "tgid", "prio", "static_prio", "normal_prio", "exit_code", "flags", "start_time",
    "utime", "stime", "nvcsw", "nivcsw", "real_parent, tgid", "group_leader, pid", "mm, arg_start",
    "mm, start_code", "mm, total_vm", "mm, hiwater_rss", "signal, min_flt", "signal, maj_flt",
    "signal, group_exit_code", "files, next_fd", "fs, umask", "cred, uid.val", "cred, euid.val",
    "nsproxy, uts_ns, ns.inum",
)  # fmt: skip

HEAD = """\
// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Written by benchmarks/many.py.
#include <skep/bpf.h>

#define CORE __attribute__((preserve_access_index))

struct ns_common { unsigned int inum; } CORE;
struct uts_namespace { struct ns_common ns; } CORE;
struct nsproxy { struct uts_namespace *uts_ns; } CORE;
typedef struct { unsigned int val; } kuid_t;
struct cred { kuid_t uid; kuid_t euid; } CORE;
struct fs_struct { int umask; } CORE;
struct files_struct { unsigned int next_fd; } CORE;
struct mm_struct {
	unsigned long arg_start, start_code, total_vm, hiwater_rss;
} CORE;
struct signal_struct {
	int group_exit_code;
	unsigned long min_flt, maj_flt;
} CORE;
struct task_struct {
	int pid, tgid, prio, static_prio, normal_prio, exit_code;
	unsigned int flags;
	__u64 start_time, utime, stime;
	unsigned long nvcsw, nivcsw;
	struct task_struct *real_parent, *group_leader;
	struct mm_struct *mm;
	struct signal_struct *signal;
	struct files_struct *files;
	struct fs_struct *fs;
	const struct cred *cred;
	struct nsproxy *nsproxy;
	char comm[16];
} CORE;

struct event {
	__u32 program, pid;
	__u64 values[4];
	char comm[16];
};

SKEP_RINGBUF(events, struct event, 256 * 1024);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u32);
	__type(value, __u64);
} sums SEC(".maps");

const volatile __u32 wanted_pid = 0;

static __noinline int add(__u32 program, __u64 value)
{
	__u64 *sum = bpf_map_lookup_elem(&sums, &program);

	if (sum)
		__sync_fetch_and_add(sum, value);
	else
		bpf_map_update_elem(&sums, &program, &value, BPF_ANY);
	return 0;
}

static __always_inline struct event *begin(__u32 program, struct task_struct *task)
{
	__u32 pid = BPF_CORE_READ(task, pid);
	struct event *event;

	if (wanted_pid && pid != wanted_pid)
		return 0;
	event = skep_reserve(events);
	if (event) {
		event->program = program;
		event->pid = pid;
		BPF_CORE_READ_STR_INTO(&event->comm, task, comm);
	}
	return event;
}
"""


def source() -> str:
    """Return the C source."""
    parts = [HEAD]
    for number in range(PROGRAMS):
        kind = ("tp_btf", "raw_tp", "tracepoint")[(number % 5 >= 3) + (number % 5 == 4)]
        turn = number // 5
        if kind == "tp_btf":
            section = f"tp_btf/{TASKS[number % len(TASKS)]}"
            task = "(void *)context[0]"
        else:
            section = f"raw_tp/{RAW[turn % len(RAW)]}"
            if kind == "tracepoint":
                section = f"tracepoint/syscalls/sys_enter_{SYSCALLS[turn % len(SYSCALLS)]}"
            task = "(void *)bpf_get_current_task()"
        reads = [READS[(number * 3 + step * 7) % len(READS)] for step in range(4)]
        parts.append(f'\nSEC("{section}")\nint program_{number}(__u64 *context)\n{{\n')
        parts.append(f"\tstruct task_struct *task = {task};\n")
        parts.append(f"\tstruct event *event = begin({number}, task);\n\n\tif (!event)\n")
        parts.append("\t\treturn 0;\n")
        for place, read in enumerate(reads):
            parts.append(f"\tevent->values[{place}] = BPF_CORE_READ(task, {read});\n")
        parts.append(
            f"\tadd({number}, event->values[0]);\n\tskep_submit(event);\n\treturn 0;\n}}\n"
        )
    parts.append('\nchar LICENSE[] SEC("license") = "GPL";\n')
    return "".join(parts)
