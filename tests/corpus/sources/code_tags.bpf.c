/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Declaration and type tags, which older kernels do not know, and which mean nothing to them. */
#include <skep/bpf.h>

#define tag(text) __attribute__((btf_decl_tag(text)))
#define type_tag(text) __attribute__((btf_type_tag(text)))

struct tagged {
	int plain;
	int marked tag("field");
	int type_tag("pointer") *pointer;
} tag("struct");

struct tagged variable tag("variable");
typedef int number tag("typedef");

static __noinline tag("function") number increment(number n tag("argument"))
{
	volatile number one = 1;

	return n + one;
}

SEC("tc")
int uses(void *ctx)
{
	variable.marked = increment(41);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
