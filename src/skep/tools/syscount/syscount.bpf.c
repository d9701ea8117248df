/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * System calls: how many, how many failed, and how long they took; by call or by process.
 *
 * Three ways of working, for the loader to choose from by leaving programs out:
 *   counting             entered          every call, when it starts
 *   counting failures    returned         every call that fails, when it ends
 *   measuring            entered, returned, exited   every call that ends, with its time
 */
#include <skep/bpf.h>

#define CALLS 1024 /* two tables of numbers, 64-bit and 32-bit, and the last for what is in neither */
#define TABLE 512
#define UNKNOWN (CALLS - 1)
#define MAX_ERRNO 4095
#define USER32_CS 0x23 /* arch/x86/include/asm/segment.h: code segment of 32-bit programs */
#define PSR_MODE32 0x10 /* arch/arm64/include/uapi/asm/ptrace.h */

struct task_struct {
	int pid;
} SKEP_CORE;

struct pt_regs___x86_mode {
	unsigned short cs;
} SKEP_CORE;

struct pt_regs___arm64_mode {
	__u64 pstate;
} SKEP_CORE;

struct tally {
	__u64 count;
	__u64 errors;
	__u64 total_ns;
};

struct process {
	__u64 count;
	__u64 errors;
	__u64 total_ns;
	char comm[16];
};

const volatile __u32 only_tgid = 0; /* 0: every process */
const volatile __u32 only_tid = 0; /* 0: every thread */
const volatile __u32 skip_tgid = 0; /* the tool itself: its own output would be counted */
const volatile __s32 only_call = -1; /* -1: every call */
const volatile __u32 only_errno = 0; /* 0: any */
const volatile bool only_failures = false;
const volatile bool measure = false; /* time, from entry to return */
const volatile bool by_process = false;

/* Calls that were not counted, because a map was full. */
__u64 untimed = 0; /* started */
__u64 ungrouped = 0; /* processes */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CALLS);
	__type(key, __u32);
	__type(value, struct tally);
} calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u32);
	__type(value, struct process);
} processes SEC(".maps");

/* When the call a thread is in started, by thread id. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, __u32);
	__type(value, __u64);
} started SEC(".maps");

static const struct process nobody;

/* Whether the call came from a 32-bit program, whose numbers mean other calls. */
static __always_inline bool is_32bit(void *regs)
{
	struct pt_regs___x86_mode *x86 = regs;
	struct pt_regs___arm64_mode *arm64 = regs;

	if (bpf_core_field_exists(x86->cs))
		return x86->cs == USER32_CS;
	if (bpf_core_field_exists(arm64->pstate))
		return arm64->pstate & PSR_MODE32;
	return false;
}

/* The index of a call in `calls`. */
static __always_inline __u32 index_of(void *regs, __s64 number)
{
	if (number < 0 || number >= TABLE)
		return UNKNOWN;
	if (is_32bit(regs))
		return number < TABLE - 1 ? TABLE + number : UNKNOWN;
	return number;
}

static __always_inline bool wanted(void)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 tgid = id >> 32;

	if (only_tgid && only_tgid != tgid)
		return false;
	if (only_tid && only_tid != (__u32) id)
		return false;
	return !skip_tgid || skip_tgid != tgid;
}

static __always_inline int count(void *regs, __s64 number, bool failed, __u64 ns)
{
	__u32 index = index_of(regs, number);
	struct process *process;
	struct tally *tally;
	__u64 id;
	__u32 tgid;

	if (only_call >= 0 && (__u32) only_call != index)
		return 0;
	if (!by_process) {
		tally = bpf_map_lookup_elem(&calls, &index);
		if (!tally)
			return 0;
		tally->count += 1; /* the tracepoint runs with preemption off, never in an interrupt */
		tally->errors += failed;
		tally->total_ns += ns;
		return 0;
	}
	id = bpf_get_current_pid_tgid();
	tgid = id >> 32;
	process = bpf_map_lookup_elem(&processes, &tgid);
	if (!process) {
		bpf_map_update_elem(&processes, &tgid, &nobody, BPF_NOEXIST);
		process = bpf_map_lookup_elem(&processes, &tgid);
		if (!process) {
			__sync_fetch_and_add(&ungrouped, 1);
			return 0;
		}
		bpf_get_current_comm(process->comm, sizeof(process->comm));
	} else if (tgid == (__u32) id) {
		/* Only the main thread: others may have names of their own. An exec changes it. */
		bpf_get_current_comm(process->comm, sizeof(process->comm));
	}
	__sync_fetch_and_add(&process->count, 1);
	if (failed)
		__sync_fetch_and_add(&process->errors, 1);
	if (measure)
		__sync_fetch_and_add(&process->total_ns, ns);
	return 0;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(entered, struct pt_regs *regs, long number)
{
	__u32 tid;
	__u64 now;

	if (!wanted())
		return 0;
	if (!measure)
		return count(regs, number, false, 0);
	tid = bpf_get_current_pid_tgid();
	now = bpf_ktime_get_ns();
	if (bpf_map_update_elem(&started, &tid, &now, BPF_ANY))
		__sync_fetch_and_add(&untimed, 1);
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(returned, struct pt_regs *regs, long result)
{
	bool failed = result < 0 && result >= -MAX_ERRNO;
	__u64 *since, ns = 0;
	__u32 tid;

	if (!wanted())
		return 0;
	if (measure) {
		/* Nothing to find: the call began before the tool, or this is a new child, in which
		   the call that made it returns a second time. */
		tid = bpf_get_current_pid_tgid();
		since = bpf_map_lookup_elem(&started, &tid);
		if (!since)
			return 0;
		ns = bpf_ktime_get_ns() - *since;
		bpf_map_delete_elem(&started, &tid);
	}
	if (only_failures && !failed)
		return 0;
	if (only_errno && result != -(long) only_errno)
		return 0;
	return count(regs, (int) PT_REGS_SYSCALL_NR(regs), failed, ns);
}

/* exit and exit_group never return. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(exited, struct task_struct *task)
{
	__u32 tid = task->pid;

	bpf_map_delete_elem(&started, &tid);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
