/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Keys and values that are structures, with padding and an enum. */
#include <skep/bpf.h>

enum direction { IN = 1, OUT = 2 };

struct flow {
	__u8 protocol;
	__u16 port;
	enum direction direction;
	__u64 address;
};

struct sums {
	__u32 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, struct flow);
	__type(value, struct sums);
} flows SEC(".maps");

SEC("tc")
int count(void *ctx)
{
	struct flow flow = {};
	struct sums first = { 1, 60 }, *sums;

	flow.protocol = 6;
	flow.port = 443;
	flow.direction = OUT;
	flow.address = 0x7f000001;
	sums = bpf_map_lookup_elem(&flows, &flow);
	if (sums) {
		sums->packets++;
		sums->bytes += 40;
	} else {
		bpf_map_update_elem(&flows, &flow, &first, BPF_ANY);
	}
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
