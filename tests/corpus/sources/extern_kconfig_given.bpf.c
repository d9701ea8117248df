/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* An option that no kernel has and that is not weak: the user gives its value. */
#include <skep/bpf.h>

extern unsigned int CONFIG_SKEP_GIVEN __kconfig;
extern unsigned int CONFIG_HZ __kconfig;

__u32 given, hz;

SEC("tc")
int asks(void *ctx)
{
	given = CONFIG_SKEP_GIVEN;
	hz = CONFIG_HZ;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
