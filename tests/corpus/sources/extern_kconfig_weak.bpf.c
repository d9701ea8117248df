/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Weak configuration symbols that no kernel has: zero. */
#include <skep/bpf.h>

extern int CONFIG_SKEP_NUMBER __kconfig __weak;
extern bool CONFIG_SKEP_SWITCH __kconfig __weak;
extern enum libbpf_tristate CONFIG_SKEP_MODULE __kconfig __weak;
extern char CONFIG_SKEP_TEXT[8] __kconfig __weak;

int sum = -1;

SEC("tc")
int asks(void *ctx)
{
	sum = CONFIG_SKEP_NUMBER + CONFIG_SKEP_SWITCH + CONFIG_SKEP_MODULE + CONFIG_SKEP_TEXT[0];
	if (CONFIG_SKEP_SWITCH)
		return *(volatile int *) 0; /* never verified */
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
