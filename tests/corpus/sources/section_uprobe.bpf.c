/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* uprobe and uretprobe: an argument and a result of a C function, here labs() of libc. */
#include <skep/bpf.h>

__u32 own;
__u64 calls;
long argument, result;

SEC("uprobe/c:labs")
int BPF_UPROBE(on_entry, long n)
{
	if (bpf_get_current_pid_tgid() >> 32 != own)
		return 0;
	calls++;
	argument = n;
	return 0;
}

SEC("uretprobe/c:labs")
int BPF_URETPROBE(on_exit, long n)
{
	if (bpf_get_current_pid_tgid() >> 32 == own)
		result = n;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
