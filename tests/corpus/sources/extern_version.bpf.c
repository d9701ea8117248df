/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* LINUX_KERNEL_VERSION and the other two that no configuration has. */
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern int LINUX_KERNEL_VERSION __kconfig;
extern bool LINUX_HAS_SYSCALL_WRAPPER __kconfig;
extern bool LINUX_HAS_BPF_COOKIE __kconfig __weak;

int version;
bool wrapper, cookie;

SEC("tc")
int asks(void *ctx)
{
	version = LINUX_KERNEL_VERSION;
	wrapper = LINUX_HAS_SYSCALL_WRAPPER;
	cookie = LINUX_HAS_BPF_COOKIE;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
