/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Formatted text: bpf_printk() into the kernel's trace pipe, BPF_SNPRINTF() into memory,
 * BPF_SEQ_PRINTF() into an iterator's output. The format must be a literal: it becomes read-only
 * data of the object.
 */
#ifndef SKEP_PRINTK_H
#define SKEP_PRINTK_H

#include <skep/helpers.h>
#include <skep/macros.h>

/* Up to twelve integers or pointers as the array of 64-bit values these helpers take. */
#define SKEP_WORDS0() 0
#define SKEP_WORDS1(a) (__u64) (a)
#define SKEP_WORDS2(a, b) SKEP_WORDS1(a), (__u64) (b)
#define SKEP_WORDS3(a, b, c) SKEP_WORDS2(a, b), (__u64) (c)
#define SKEP_WORDS4(a, b, c, d) SKEP_WORDS3(a, b, c), (__u64) (d)
#define SKEP_WORDS5(a, b, c, d, e) SKEP_WORDS4(a, b, c, d), (__u64) (e)
#define SKEP_WORDS6(a, b, c, d, e, f) SKEP_WORDS5(a, b, c, d, e), (__u64) (f)
#define SKEP_WORDS7(a, b, c, d, e, f, g) SKEP_WORDS6(a, b, c, d, e, f), (__u64) (g)
#define SKEP_WORDS8(a, b, c, d, e, f, g, h) SKEP_WORDS7(a, b, c, d, e, f, g), (__u64) (h)
#define SKEP_WORDS9(a, b, c, d, e, f, g, h, i) SKEP_WORDS8(a, b, c, d, e, f, g, h), (__u64) (i)
#define SKEP_WORDS10(a, b, c, d, e, f, g, h, i, j) SKEP_WORDS9(a, b, c, d, e, f, g, h, i), (__u64) (j)
#define SKEP_WORDS11(a, b, c, d, e, f, g, h, i, j, k) SKEP_WORDS10(a, b, c, d, e, f, g, h, i, j), (__u64) (k)
#define SKEP_WORDS12(a, b, c, d, e, f, g, h, i, j, k, l) SKEP_WORDS11(a, b, c, d, e, f, g, h, i, j, k), (__u64) (l)
#define SKEP_WORDS(...) SKEP_JOIN(SKEP_WORDS, SKEP_COUNT(__VA_ARGS__))(__VA_ARGS__)

#ifndef bpf_printk
/* One line in /sys/kernel/tracing/trace_pipe; for debugging. Three values on kernels before 5.16. */
#define SKEP_PRINT_FEW(format, ...) ({ \
	static const char skep_format[] = format; \
	bpf_trace_printk(skep_format, sizeof(skep_format), ##__VA_ARGS__); \
})
#define SKEP_PRINT_MANY(format, ...) ({ \
	static const char skep_format[] = format; \
	__u64 skep_words[] = { SKEP_WORDS(__VA_ARGS__) }; \
	bpf_trace_vprintk(skep_format, sizeof(skep_format), skep_words, \
			  8 * SKEP_COUNT(__VA_ARGS__)); \
})
#define SKEP_PRINT0 SKEP_PRINT_FEW
#define SKEP_PRINT1 SKEP_PRINT_FEW
#define SKEP_PRINT2 SKEP_PRINT_FEW
#define SKEP_PRINT3 SKEP_PRINT_FEW
#define SKEP_PRINT4 SKEP_PRINT_MANY
#define SKEP_PRINT5 SKEP_PRINT_MANY
#define SKEP_PRINT6 SKEP_PRINT_MANY
#define SKEP_PRINT7 SKEP_PRINT_MANY
#define SKEP_PRINT8 SKEP_PRINT_MANY
#define SKEP_PRINT9 SKEP_PRINT_MANY
#define SKEP_PRINT10 SKEP_PRINT_MANY
#define SKEP_PRINT11 SKEP_PRINT_MANY
#define SKEP_PRINT12 SKEP_PRINT_MANY
#define bpf_printk(format, ...) \
	SKEP_JOIN(SKEP_PRINT, SKEP_COUNT(__VA_ARGS__))(format, ##__VA_ARGS__)
#endif

#ifndef BPF_SNPRINTF
/* Into `out`, of `size` bytes; the result is the length needed, or a negative errno. */
#define BPF_SNPRINTF(out, size, format, ...) ({ \
	static const char skep_format[] = format; \
	__u64 skep_words[] = { SKEP_WORDS(__VA_ARGS__) }; \
	bpf_snprintf(out, size, skep_format, skep_words, 8 * SKEP_COUNT(__VA_ARGS__)); \
})
#endif

#ifndef BPF_SEQ_PRINTF
/* What reading the iterator's file returns. */
#define BPF_SEQ_PRINTF(seq, format, ...) ({ \
	static const char skep_format[] = format; \
	__u64 skep_words[] = { SKEP_WORDS(__VA_ARGS__) }; \
	bpf_seq_printf(seq, skep_format, sizeof(skep_format), skep_words, \
		       8 * SKEP_COUNT(__VA_ARGS__)); \
})
#endif

#endif
