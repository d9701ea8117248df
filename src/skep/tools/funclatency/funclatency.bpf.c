/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How long a user-space function takes, from entry to return.
 *
 * A call is recognised by its thread, its function and its stack pointer: a recursive call has
 * another one, a call left by longjmp or an exception is overwritten by the next call made from
 * the same depth, and a coroutine's stack is its own.
 */
#include <skep/bpf.h>

struct call {
	__u32 tid;
	__u32 function;
	__u64 stack;
};

const volatile __u64 unit_ns = 1; /* slots count in this unit; sums are in nanoseconds */
const volatile __u32 return_pops = 8; /* bytes the return takes off the stack: 8 x86-64, 0 arm64 */
const volatile bool by_function = false; /* the attach cookie is the function's index */

__u64 unmatched = 0; /* returns whose entry was not seen, or was evicted from `running` */

/* LRU: a call whose thread dies in it never returns, and must not stay for ever. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct call);
	__type(value, __u64);
} running SEC(".maps");

/* One entry, or one for each function. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct skep_hist);
} latency SEC(".maps");

static __always_inline void identify(struct pt_regs *ctx, struct call *call)
{
	call->tid = bpf_get_current_pid_tgid();
	call->function = by_function ? bpf_get_attach_cookie(ctx) : 0;
	call->stack = PT_REGS_SP(ctx);
}

SEC("uprobe")
int BPF_UPROBE(entered)
{
	struct call call;
	__u64 now;

	identify(ctx, &call);
	now = bpf_ktime_get_ns();
	bpf_map_update_elem(&running, &call, &now, BPF_ANY);
	return 0;
}

SEC("uretprobe")
int BPF_URETPROBE(returned)
{
	__u64 now = bpf_ktime_get_ns(), *since;
	struct skep_hist *histogram;
	struct call call;
	__u32 slot;
	__s64 took;

	identify(ctx, &call);
	call.stack -= return_pops;
	since = bpf_map_lookup_elem(&running, &call);
	if (!since) {
		__sync_fetch_and_add(&unmatched, 1);
		return 0;
	}
	took = now - *since;
	bpf_map_delete_elem(&running, &call);
	if (took < 0)
		return 0;
	slot = skep_log2(took / unit_ns);
	barrier_var(slot); /* the compiler knows that it is below 64; not every verifier does */
	slot &= 63;
	histogram = bpf_map_lookup_elem(&latency, &call.function);
	if (!histogram)
		return 0;
	/* Atomic: uprobe programs can be preempted by another thread's on the same CPU. */
	__sync_fetch_and_add(&histogram->sum, took);
	__sync_fetch_and_add(&histogram->slots[slot], 1);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
