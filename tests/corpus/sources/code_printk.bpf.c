/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Formatted text: bpf_printk and bpf_snprintf with format strings in .rodata. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char text[32];
long length;

SEC("tc")
int prints(void *ctx)
{
	static const char format[] = "%d of %s";
	static const char four[] = "four";
	__u64 arguments[2] = { 3 };

	arguments[1] = (__u64) four;
	barrier_var(arguments[1]); /* or the compiler puts an address into .rodata */
	length = bpf_snprintf(text, sizeof(text), format, arguments, sizeof(arguments));
	if (length < 0)
		bpf_printk("bpf_snprintf says %ld", length);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
