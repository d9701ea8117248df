// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A record for each malloc of at least so many bytes. */
#include <skep/bpf.h>

char LICENSE[] SEC("license") = "GPL";

/* Not const: user space may change it at any time, and the next call sees it. */
__u64 min_bytes = 1 << 20;
/* Everything else is counted, so that it is known what the threshold hides. */
__u64 smaller;

struct allocation {
	__u64 bytes;
	__u32 tid;
	char comm[16];
};

SKEP_RINGBUF(allocations, struct allocation, 256 * 1024);

SEC("uprobe")
int BPF_UPROBE(on_malloc, size_t bytes)
{
	struct allocation *allocation;

	if (bytes < min_bytes) {
		__sync_fetch_and_add(&smaller, 1);
		return 0;
	}
	allocation = skep_reserve(allocations);
	if (!allocation)
		return 0; /* counted as lost */
	allocation->bytes = bytes;
	allocation->tid = bpf_get_current_pid_tgid();
	bpf_get_current_comm(allocation->comm, sizeof(allocation->comm));
	skep_submit(allocation);
	return 0;
}
