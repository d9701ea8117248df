/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Atomic operations with and without the old value. */
#include <skep/bpf.h>

__u64 added = 1, ored = 0xf0, anded = 0xff, flipped = 0xff, exchanged = 5, compared = 6, missed = 7;
__u32 narrow = 10;
__u64 old_added, old_exchanged, old_compared, old_missed;
__u32 old_narrow;

SEC("tc")
int all(void *ctx)
{
	old_added = __sync_fetch_and_add(&added, 41);
	__sync_fetch_and_or(&ored, 0x0f);
	__sync_fetch_and_and(&anded, 0x0f);
	__sync_fetch_and_xor(&flipped, 0x0f);
	old_exchanged = __sync_lock_test_and_set(&exchanged, 50);
	old_compared = __sync_val_compare_and_swap(&compared, 6, 60);
	old_missed = __sync_val_compare_and_swap(&missed, 6, 60);
	old_narrow = __sync_fetch_and_add(&narrow, 5);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
