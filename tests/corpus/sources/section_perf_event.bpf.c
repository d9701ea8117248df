/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* perf_event: run by a software event of this thread. */
#include <skep/bpf.h>

__u64 hits;
__u32 own, others;

SEC("perf_event")
int sample(void *ctx)
{
	if (bpf_get_current_pid_tgid() >> 32 == own)
		hits++;
	else
		others++;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
