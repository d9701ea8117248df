/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The kernel's configuration, with every type that a symbol may be declared with. */
#include <skep/bpf.h>

extern unsigned int CONFIG_HZ __kconfig;
extern unsigned long CONFIG_NR_CPUS __kconfig;
extern bool CONFIG_BPF_SYSCALL __kconfig;
extern char CONFIG_NET __kconfig;
extern enum libbpf_tristate CONFIG_INET __kconfig;
extern enum libbpf_tristate CONFIG_VETH __kconfig __weak;
extern const char CONFIG_DEFAULT_HOSTNAME[16] __kconfig;

__u32 hz, cpus;
bool syscall;
char net, hostname[16];
int inet, veth;

SEC("tc")
int asks(void *ctx)
{
	hz = CONFIG_HZ;
	cpus = CONFIG_NR_CPUS;
	syscall = CONFIG_BPF_SYSCALL;
	net = CONFIG_NET;
	inet = CONFIG_INET;
	veth = CONFIG_VETH;
	for (int i = 0; i < 16; i++)
		hostname[i] = CONFIG_DEFAULT_HOSTNAME[i];
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
