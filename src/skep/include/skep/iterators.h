/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Loops of any length, as statements: the verifier checks the body once, and the kernel bounds
 * the loop (open-coded iterators, Linux 6.4).
 *
 *	int i;
 *
 *	bpf_for(i, 0, count)
 *		sum += values[i & 63];
 *
 *	bpf_repeat(10)
 *		...
 *
 *	struct task_struct *task;
 *
 *	bpf_for_each(task, task, NULL, BPF_TASK_ITER_ALL_PROCS)
 *		...
 *
 * `break`, `continue` and `return` work in all of them. bpf_for_each(NAME, variable, arguments...)
 * is for any iterator the kernel has: struct bpf_iter_NAME, and the kernel functions
 * bpf_iter_NAME_new, _next and _destroy, which a source without a vmlinux.h declares __ksym.
 * The macros have the names and meanings of libbpf's.
 */
#ifndef SKEP_ITERATORS_H
#define SKEP_ITERATORS_H

#include <skep/macros.h>

/* A vmlinux.h or linux/bpf.h of Linux 6.4 or newer has it; with an older one there is no bpf_for. */
struct bpf_iter_num;
#if !defined(__VMLINUX_H__) && !defined(__LINUX_BPF_H__)
struct bpf_iter_num {
	__u64 __opaque[1];
} __attribute__((aligned(8)));
#endif

extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __weak __ksym;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __weak __ksym;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __weak __ksym;

/*
 * Both variables live as long as the loop, however it is left: the cleanup runs then. The second
 * one only carries the call of _new, whose failure shows as _next finding nothing.
 */
#define SKEP_ITERATOR(NAME, ...) \
	struct bpf_iter_##NAME skep_iterator __attribute__(( \
		aligned(8), cleanup(bpf_iter_##NAME##_destroy))), \
	*skep_unused __attribute__((unused)) = ( \
		bpf_iter_##NAME##_new(&skep_iterator, ##__VA_ARGS__), \
		(void) bpf_iter_##NAME##_destroy, (void *) 0)

#ifndef bpf_for_each
#define bpf_for_each(NAME, variable, ...) \
	for (SKEP_ITERATOR(NAME, ##__VA_ARGS__); \
	     ((variable) = bpf_iter_##NAME##_next(&skep_iterator));)
#endif

/* The test against both bounds tells the verifier the range of i. */
#ifndef bpf_for
#define bpf_for(i, start, end) \
	for (SKEP_ITERATOR(num, (start), (end)); \
	     ({ \
		     int *skep_next = bpf_iter_num_next(&skep_iterator); \
		     skep_next && ((i) = *skep_next, (i) >= (start) && (i) < (end)); \
	     });)
#endif

#ifndef bpf_repeat
#define bpf_repeat(count) \
	for (SKEP_ITERATOR(num, 0, (count)); bpf_iter_num_next(&skep_iterator);)
#endif

#endif
