/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* An object that says nothing about its licence. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("tc")
int answers(void *ctx)
{
	return 42;
}
