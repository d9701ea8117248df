/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Data sections with names of one's own. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

int ordinary = 1;
int SEC(".data.mine") mine = 2;
const volatile int SEC(".rodata.limits") limit = 3;
int SEC(".bss.scratch") scratch;
__u64 SEC(".data.wide") wide[4] = { 10, 20, 30, 40 };

SEC("tc")
int add(void *ctx)
{
	scratch = ordinary + mine + limit;
	wide[3] += wide[1];
	mine = 9;
	return scratch;
}

char LICENSE[] SEC("license") = "GPL";
