/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Records to user space that cannot be lost unnoticed: a ring buffer with a ledger.
 *
 *	struct event { __u32 pid; char comm[16]; };
 *	SKEP_RINGBUF(events, struct event, 256 * 1024);
 *
 *	struct event *event = skep_reserve(events);
 *	if (!event)
 *		return 0;
 *	...
 *	skep_submit(event);
 *
 * SKEP_RINGBUF declares two maps: the ring buffer NAME and NAME_ledger, which counts per CPU how
 * many records the program wanted to send and how many found no room. Readers so know that
 * produced = delivered + lost + waiting. The ledger also tells them the type of the records; on
 * the ring buffer itself a __type(value, ...) would keep libbpf from loading the object.
 */
#ifndef SKEP_OUTPUT_H
#define SKEP_OUTPUT_H

#include <skep/helpers.h>
#include <skep/macros.h>

struct skep_ledger {
	__u64 produced; /* records the program wanted to send, those lost included */
	__u64 lost;     /* of these, the ones for which the buffer had no room */
};

/* BYTES: a power of two, at least a page. */
#define SKEP_RINGBUF(NAME, TYPE, BYTES) \
	struct { \
		__uint(type, BPF_MAP_TYPE_RINGBUF); \
		__uint(max_entries, BYTES); \
	} NAME SEC(".maps"); \
	struct { \
		__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); \
		__uint(max_entries, 1); \
		__type(key, __u32); \
		__type(value, struct { \
			__u64 produced; \
			__u64 lost; \
			TYPE *record[0]; \
		}); \
	} NAME##_ledger SEC(".maps")

/*
 * Atomic though the entry is this CPU's own: a program in an interrupt may run in between, and the
 * sums must be exact.
 */
static __always_inline void skep_ledger_add(void *ledger, __u64 produced, __u64 lost)
{
	__u32 zero = 0;
	struct skep_ledger *entry = bpf_map_lookup_elem(ledger, &zero);

	if (!entry)
		return;
	__sync_fetch_and_add(&entry->produced, produced);
	if (lost)
		__sync_fetch_and_add(&entry->lost, lost);
}

/* A pointer to a new record of the declared type, or NULL (counted as lost). Not zeroed. */
#define skep_reserve(NAME) ({ \
	__typeof__(NAME##_ledger.value->record[0]) skep_record = \
		bpf_ringbuf_reserve(&NAME, sizeof(*skep_record), 0); \
	skep_ledger_add(&NAME##_ledger, 1, !skep_record); \
	skep_record; \
})

/* Hands a reserved record over. The kernel wakes the reader only when it had caught up. */
#define skep_submit(record) bpf_ringbuf_submit(record, 0)

/* Takes a reserved record back, as if it had never been wanted. */
#define skep_discard(NAME, record) ({ \
	bpf_ringbuf_discard(record, 0); \
	skep_ledger_add(&NAME##_ledger, -1ULL, 0); \
})

/* Copies `size` bytes as one record; 0, or a negative errno (counted as lost). */
#define skep_output(NAME, pointer, size) ({ \
	long skep_error = bpf_ringbuf_output(&NAME, pointer, size, 0); \
	skep_ledger_add(&NAME##_ledger, 1, skep_error != 0); \
	skep_error; \
})

#endif
