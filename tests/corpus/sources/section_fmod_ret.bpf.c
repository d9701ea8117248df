/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* fmod_ret: where the program returns an error, the function is not called. */
#include <skep/bpf.h>

struct qstr { const unsigned char *name; } SKEP_CORE;
struct dentry { struct qstr d_name; } SKEP_CORE;

__u32 own;
__u64 refusals;

SEC("fmod_ret/security_inode_mkdir")
int BPF_PROG(refuses, void *dir, struct dentry *dentry, unsigned short mode, int ret)
{
	char name[8] = {};

	if (ret || bpf_get_current_pid_tgid() >> 32 != own)
		return ret;
	bpf_probe_read_kernel_str(name, sizeof(name), dentry->d_name.name);
	if (bpf_strncmp(name, 3, "no"))
		return 0;
	refusals++;
	return -1; /* EPERM */
}

char LICENSE[] SEC("license") = "GPL";
