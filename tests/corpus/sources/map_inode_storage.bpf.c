/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Local storage of inodes, which only security hooks can use. */
#include <skep/bpf.h>

struct inode { unsigned long i_ino; } SKEP_CORE;
struct file { struct inode *f_inode; } SKEP_CORE;

struct {
	__uint(type, BPF_MAP_TYPE_INODE_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u32);
} opened SEC(".maps");

__u32 own, most;
__u64 inode_number;

SEC("lsm/file_open")
int BPF_PROG(opens, struct file *file)
{
	__u32 *value;

	if (bpf_get_current_pid_tgid() >> 32 != own || file->f_inode->i_ino != inode_number)
		return 0;
	value = bpf_inode_storage_get(&opened, file->f_inode, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (value)
		most = ++*value;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
