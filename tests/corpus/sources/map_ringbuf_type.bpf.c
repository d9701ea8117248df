/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A ring buffer that names the type of its records, which libbpf hands on to a kernel that refuses. */
#include <skep/bpf.h>

struct event {
	__u16 a;
	__u64 b;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
	__type(value, struct event);
} events SEC(".maps");

SEC("tc")
int send(void *ctx)
{
	struct event event = {};

	event.a = 3;
	event.b = 4;
	return bpf_ringbuf_output(&events, &event, sizeof(event), 0);
}

char LICENSE[] SEC("license") = "GPL";
