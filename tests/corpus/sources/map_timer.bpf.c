/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A timer in a value: its callback runs later. */
#include <skep/bpf.h>

struct element {
	struct bpf_timer timer;
	__u32 number;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct element);
} timers SEC(".maps");

__u32 fired;

static int on_time(void *map, __u32 *key, struct element *element)
{
	fired = *key + element->number;
	return 0;
}

SEC("tc")
int start(void *ctx)
{
	__u32 one = 1;
	struct element *element = bpf_map_lookup_elem(&timers, &one);

	if (!element)
		return 1;
	element->number = 41;
	if (bpf_timer_init(&element->timer, &timers, 1 /* CLOCK_MONOTONIC */))
		return 2;
	if (bpf_timer_set_callback(&element->timer, on_time))
		return 3;
	return bpf_timer_start(&element->timer, 1000, 0);
}

char LICENSE[] SEC("license") = "GPL";
