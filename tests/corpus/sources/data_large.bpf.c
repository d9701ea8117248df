/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A .bss of many pages and an array in it that is placeed by a variable. */
#include <skep/bpf.h>

__u32 table[20000];
const volatile __u32 place;
__u32 found;

SEC("tc")
int use(void *ctx)
{
	if (place < 20000) {
		table[place] += 5;
		found = table[place];
	}
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
