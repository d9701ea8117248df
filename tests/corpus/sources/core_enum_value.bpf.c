/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* CO-RE kinds 10 and 11, enumerators: whether they exist, and their values in the kernel. */
#include <skep/bpf.h>

enum bpf_map_type___mine {
	BPF_MAP_TYPE_UNSPEC___mine = 70,
	BPF_MAP_TYPE_RINGBUF___mine = 71,
	BPF_MAP_TYPE_IMAGINARY___mine = 72,
};

__u64 unspec = 9, ringbuf;
__u32 exists;

SEC("raw_tp/sys_enter")
int ask(void *ctx)
{
	unspec = bpf_core_enum_value(enum bpf_map_type___mine, BPF_MAP_TYPE_UNSPEC___mine);
	ringbuf = bpf_core_enum_value(enum bpf_map_type___mine, BPF_MAP_TYPE_RINGBUF___mine);
	exists = bpf_core_enum_value_exists(enum bpf_map_type___mine, BPF_MAP_TYPE_RINGBUF___mine) |
		 bpf_core_enum_value_exists(enum bpf_map_type___mine,
					    BPF_MAP_TYPE_IMAGINARY___mine) << 1;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
