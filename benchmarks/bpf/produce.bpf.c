// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A producer with an exact, even rate: one run emits `count` records, one each `gap_ns`.
#include <skep/bpf.h>

struct event {
	__u64 time;
	__u64 sequence;
	__u32 pid;
	__u32 cpu;
	__u64 value;
	char comm[16];
};

SKEP_RINGBUF(events, struct event, 16 * 1024 * 1024);

struct request {
	__u64 count;
	__u64 gap_ns;
};

struct state {
	__u64 next;
	__u64 gap_ns;
};

static long spin(__u32 index, void *data)
{
	struct state *state = data;

	return bpf_ktime_get_ns() >= state->next;
}

static long emit(__u32 index, void *data)
{
	struct state *state = data;
	struct event *event;

	if (state->gap_ns) {
		bpf_loop(1 << 16, spin, state, 0);
		state->next += state->gap_ns;
	}
	event = skep_reserve(events);
	if (event) {
		event->time = state->next;
		event->sequence = index;
		event->pid = 1;
		event->cpu = bpf_get_smp_processor_id();
		event->value = index;
		__builtin_memcpy(event->comm, "producer", 9);
		skep_submit(event);
	}
	return 0;
}

SEC("syscall")
int produce(struct request *request)
{
	struct state state = { .next = bpf_ktime_get_ns(), .gap_ns = request->gap_ns };

	bpf_loop(request->count, emit, &state, 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
