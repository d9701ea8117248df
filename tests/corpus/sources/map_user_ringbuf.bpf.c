/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A ring buffer that user space writes, drained by a callback. */
#include <skep/bpf.h>

struct {
	__uint(type, BPF_MAP_TYPE_USER_RINGBUF);
	__uint(max_entries, 4096);
} input SEC(".maps");

__u64 sum;
long drained;

static long take(struct bpf_dynptr *record, void *context)
{
	__u64 number = 0;

	bpf_dynptr_read(&number, sizeof(number), record, 0, 0);
	sum += number;
	return 0;
}

SEC("raw_tp/sys_enter")
int drain(void *ctx)
{
	drained = bpf_user_ringbuf_drain(&input, take, NULL, 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
