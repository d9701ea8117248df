"""BPF programs that write into ring buffers on demand, run through BPF_PROG_TEST_RUN."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import skep

PRODUCERS = """// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <skep/bpf.h>

char LICENSE[] SEC("license") = "GPL";

struct event {
	__u64 seq;
	__u32 pid;
	__u32 cpu;
	char comm[16];
	__u64 more[2];
};

SKEP_RINGBUF(events, struct event, 65536);

struct line {
	__u32 length;
	char text[60];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
	__type(value, struct line);
} lines SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} bytes SEC(".maps");

__u64 seq;
volatile __u32 go;
unsigned char pattern[4096];

struct burst_args {
	__u32 count;
	__u32 discard_every; /* 0: never */
	__u64 flags;
};

static long one(__u32 index, void *context)
{
	struct burst_args *args = context;
	struct event *event = skep_reserve(events);

	if (!event)
		return 0;
	event->seq = seq++;
	event->pid = index;
	event->cpu = 7;
	__builtin_memcpy(event->comm, "producer\\0\\0\\0\\0\\0\\0\\0", 16);
	event->more[0] = event->more[1] = 0;
	if (args->discard_every && index % args->discard_every == 0)
		skep_discard(events, event);
	else
		bpf_ringbuf_submit(event, args->flags);
	return 0;
}

SEC("syscall")
int burst(struct burst_args *args)
{
	struct burst_args copy = *args;
	volatile __u32 count = args->count;

	/* volatile: clang would load count and discard_every as one u64, and the kernel */
	/* compares all 64 bits when it inlines bpf_loop (optimize_bpf_loop in verifier.c). */
	bpf_loop(count, one, &copy, 0);
	return 0;
}

struct operation {
	__u16 size;
	__u16 discard;
};

struct operation script[256];
__u32 refused;

/* The record of the i-th operation is pattern[i..i+size). */
static long operate(__u32 index, void *context)
{
	struct operation *operation = &script[index & 255];
	__u32 size = operation->size & 2047;
	struct bpf_dynptr record;

	if (bpf_ringbuf_reserve_dynptr(&bytes, size, 0, &record)) {
		bpf_ringbuf_discard_dynptr(&record, 0);
		refused++;
		return 0;
	}
	bpf_dynptr_write(&record, 0, pattern + (index & 255), size, 0);
	if (operation->discard)
		bpf_ringbuf_discard_dynptr(&record, 0);
	else
		bpf_ringbuf_submit_dynptr(&record, 0);
	return 0;
}

SEC("syscall")
int play(__u32 *count)
{
	bpf_loop(*count, operate, 0, 0);
	return 0;
}

static long wait_for_go(__u32 index, void *context)
{
	return go ? 1 : 0;
}

/* One bpf_loop is over in milliseconds: loop over it. */
static long keep_waiting(__u32 index, void *context)
{
	bpf_loop(1 << 23, wait_for_go, 0, 0);
	return go ? 1 : 0;
}

/* One record, one that stays unfinished until `go`, one behind it. */
SEC("syscall")
int unfinished(void *args)
{
	struct event *event, *slow;

	event = skep_reserve(events);
	if (!event)
		return 1;
	event->seq = 1;
	skep_submit(event);
	slow = skep_reserve(events);
	if (!slow)
		return 2;
	slow->seq = 2;
	event = skep_reserve(events);
	if (event) {
		event->seq = 3;
		skep_submit(event);
	}
	bpf_loop(1000, keep_waiting, 0, 0);
	skep_submit(slow);
	return 0;
}

/* Lines cut behind their text. */
SEC("syscall")
int say(struct line *line)
{
	struct line copy = *line;
	__u32 size = copy.length & 63;

	return bpf_ringbuf_output(&lines, &copy, 4 + (size > 60 ? 60 : size), 0);
}
"""


class Producers:
    """The loaded object, with one method for each program that produces."""

    def __init__(self, live: skep.Object) -> None:
        self.object = live
        self.maps = live.maps

    def burst(self, count: int, *, discard_every: int = 0, flags: int = 0) -> None:
        """Send *count* `struct event`, every n-th discarded again."""
        args = struct.pack("=IIQ", count, discard_every, flags)
        self.object.programs["burst"].test_run(ctx=args)

    def play(self, operations: list[tuple[int, bool]]) -> int:
        """Send records of these (size, discarded); return how many found no room."""
        variables = self.object.variables
        padded = [*operations, *[(0, False)] * (256 - len(operations))]
        variables["script"].value = [{"size": size, "discard": gone} for size, gone in padded]
        variables["refused"].value = 0
        self.object.programs["play"].test_run(ctx=struct.pack("=I", len(operations)))
        return int(variables["refused"].value)

    def say(self, text: bytes) -> None:
        """Send a `struct line` cut behind *text*."""
        line = struct.pack("=I60s", len(text), text)
        self.object.programs["say"].test_run(ctx=line)
