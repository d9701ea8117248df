/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Histograms by powers of two, in the one form that skep's tools, metrics and columns know.
 */
#ifndef SKEP_HISTOGRAM_H
#define SKEP_HISTOGRAM_H

#include <skep/macros.h>
#include <skep/types.h>

/*
 * slots[0] counts 0 and 1, slots[i] the values from 2^i to 2^(i+1) - 1. The number of values is the
 * sum of the slots; `sum` is the sum of the values (modulo 2^64), for averages.
 * Use it as the value of an array, hash or per-CPU map.
 */
struct skep_hist {
	__u64 sum;
	__u64 slots[64];
};

/* The position of the highest bit set, 0 to 63; 0 for 0. */
static __always_inline __u32 skep_log2(__u64 value)
{
	__u32 result = 0, step;

	/* BPF has no such instruction: halve the width six times. */
	step = (value > 0xffffffffULL) << 5;
	value >>= step;
	result |= step;
	step = (value > 0xffff) << 4;
	value >>= step;
	result |= step;
	step = (value > 0xff) << 3;
	value >>= step;
	result |= step;
	step = (value > 0xf) << 2;
	value >>= step;
	result |= step;
	step = (value > 0x3) << 1;
	value >>= step;
	result |= step;
	return result | (__u32) (value >> 1);
}

/*
 * Counts `value`. Atomic even for per-CPU maps: an interrupt or another program may come in
 * between, and an unshared cache line makes it cheap.
 */
static __always_inline void skep_hist_add(struct skep_hist *histogram, __u64 value)
{
	__u32 slot = skep_log2(value);

	/* The mask is for the verifier (6.1), which cannot see that the slot is below 64; the barrier
	   is for the compiler, which can, and would leave the mask out. */
	barrier_var(slot);
	__sync_fetch_and_add(&histogram->slots[slot & 63], 1);
	__sync_fetch_and_add(&histogram->sum, value);
}

#endif
