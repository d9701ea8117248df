/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Dynamic pointers: to a record of a ring buffer, and to a map's value. */
#include <skep/bpf.h>

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

__u64 value = 0x1122334455667788, read_back;
__u32 size = 24;
long past;

SEC("tc")
int writes(void *ctx)
{
	struct bpf_dynptr record;

	if (bpf_ringbuf_reserve_dynptr(&events, size, 0, &record)) {
		bpf_ringbuf_discard_dynptr(&record, 0);
		return 1;
	}
	bpf_dynptr_write(&record, 16, &value, sizeof(value), 0);
	bpf_dynptr_read(&read_back, sizeof(read_back), &record, 16, 0);
	past = bpf_dynptr_write(&record, 20, &value, sizeof(value), 0);
	bpf_ringbuf_submit_dynptr(&record, 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
