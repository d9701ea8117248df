/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* String literals, which the compiler puts into a section that can be merged. */
#include <skep/bpf.h>

char copy[8], text[8];
long same, different;

SEC("tc")
int strings(void *ctx)
{
	static const char stored[] = "stored";

	__builtin_memcpy(copy, stored, sizeof(stored));
	same = bpf_strncmp(copy, 6, "stored");
	different = bpf_strncmp(copy, 6, "storey") < 0 ? -1 : 1;
	bpf_snprintf(text, sizeof(text), "n=%d", (__u64[]) { 42 }, 8);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
