/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* tracepoint and tp: the fields of an event. */
#include <skep/bpf.h>

/* The event's own layout, as its format file in tracefs says. */
struct enter {
	__u64 common;
	int number;
};

__u32 own;
__u64 calls, exits;
long id;

SEC("tracepoint/syscalls/sys_enter_getppid")
int on_enter(struct enter *ctx)
{
	if (bpf_get_current_pid_tgid() >> 32 != own)
		return 0;
	calls++;
	id = ctx->number;
	return 0;
}

SEC("tp/syscalls/sys_exit_getppid")
int on_exit(struct trace_event_raw_sys_exit *ctx)
{
	if (bpf_get_current_pid_tgid() >> 32 == own)
		exits++;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
