/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A type of a file system that may be a module: it is found in either case. */
#include <skep/bpf.h>

struct ext4_sb_info { unsigned long s_inodes_per_group; void *s_es; } SKEP_CORE;

__u64 exists, size, field;

SEC("raw_tp/sys_enter")
int ask(void *ctx)
{
	exists = bpf_core_type_exists(struct ext4_sb_info);
	size = bpf_core_type_size(struct ext4_sb_info);
	field = bpf_core_field_exists(struct ext4_sb_info, s_es);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
