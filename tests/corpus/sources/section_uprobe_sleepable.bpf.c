/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* uprobe.s: a probe that may wait for user memory. */
#include <skep/bpf.h>

__u32 own;
char text[16];

SEC("uprobe.s/c:atol")
int BPF_UPROBE(on_entry, const char *digits)
{
	if (bpf_get_current_pid_tgid() >> 32 == own)
		bpf_copy_from_user(text, sizeof(text), digits);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
