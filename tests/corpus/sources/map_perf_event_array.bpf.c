/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A perf event array: its size is the number of CPUs, its elements are events that can be read. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(int));
	__uint(value_size, sizeof(int));
} counters SEC(".maps");

long result;
struct bpf_perf_event_value value;

SEC("raw_tp/sys_enter")
int reads(void *ctx)
{
	result = bpf_perf_event_read_value(&counters, 0, &value, sizeof(value));
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
