/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A ring buffer, with the ledger that skep's headers add. */
#include <skep/bpf.h>

struct event {
	__u32 number;
	__u8 flag;
	__u64 square;
};

SKEP_RINGBUF(events, struct event, 64 * 1024);

SEC("tc")
int send(void *ctx)
{
	for (__u32 i = 0; i < 5; i++) {
		struct event *event = skep_reserve(events);

		if (!event)
			return 1;
		*event = (struct event) { i, i & 1, i * i };
		skep_submit(event);
	}
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
