"""The C source of an object with all that a generated module has to have an answer to."""

from __future__ import annotations

SOURCE = r"""
#include <skep/bpf.h>

char LICENSE[] SEC("license") = "GPL";

enum state { IDLE, RUNNING = 7, __STATE_MAX, name, mro };

struct in_addr { __be32 s_addr; };

typedef struct { __u32 low; __u32 high; } pair_t;

struct place {
	__u16 port;
	struct { __u8 first, second; } halves;
};

struct odd {
	__u32 class;
	__u32 from;
	__u32 print;
	__u32 count;
	__u32 index;
	__u32 asdict;
	__u32 __pad;
	__u32 _fields;
};

union either {
	__u64 whole;
	__u32 half[2];
	struct place at;
};

struct event {
	__u32 pid;
	enum state state;
	char comm[16];
	__u8 digest[4];
	struct place at[2];
	pair_t pair;
	union either either;
	union {
		__u32 number;
		__u8 bytes[4];
	};
	int narrow : 3;
	unsigned wide : 13;
	bool truth;
	double real;
	__u32 grid[2][3];
	void *where;
	struct in_addr address;
};

struct class { __u64 lambda; };
struct print { __u64 x; };
struct Map { __u64 y; };
struct int_ { __u64 z; };

const volatile __u32 only_pid = 0;
const volatile bool with_truth = true;
const volatile char text[16] = "as it was";
const volatile struct place here = {.port = 80};
const volatile __u32 btf = 3, max_entries = 4, lambda = 5;
const __u64 folded = 11;
__u64 step = 1;
__s32 below = -2;
enum state state_now = RUNNING;
struct event last;
pair_t pairs[3];
struct { __u32 inner; } nameless;
__u64 apart SEC(".data.apart") = 9;
struct unseen { __u32 only_through_a_pointer; };
struct unseen *pointed;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct event);
} events_by_pid SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 64);
	__type(key, struct place);
	__type(value, struct event);
} same_type SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, struct odd);
	__type(value, struct class);
} class SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct print);
} print SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct Map);
} bss SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct { __u64 hits; __u64 misses; });
} per_cpu SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 16);
	__type(key, union either);
	__type(value, __u64);
} per_cpu_hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 4);
	__type(value, struct place);
} queue SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
	__uint(max_entries, 4);
	__type(value, __u32);
} bloom SEC(".maps");

struct lpm_key { __u32 prefixlen; __u8 data[4]; };

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 4);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct lpm_key);
	__type(value, struct int_);
} routes SEC(".maps");

struct inner {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct place);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 4);
	__type(key, __u32);
	__array(values, struct inner);
} outer SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__uint(key_size, 3);
	__uint(value_size, 5);
} untyped SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__uint(value_size, 4);
} jumps SEC(".maps");

SKEP_RINGBUF(ring, struct event, 65536);

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} plain_ring SEC(".maps");

static __always_inline void fill(struct event *event)
{
	__builtin_memset(event, 0, sizeof(*event));
	event->pid = bpf_get_current_pid_tgid() >> 32;
	event->state = state_now;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	event->at[1].port = here.port;
	event->at[1].halves.second = 2;
	event->pair.high = 0x1234;
	event->either.half[1] = 1;
	event->number = 0x01020304;
	event->narrow = -2;
	event->wide = 4097;
	event->truth = with_truth;
	event->grid[1][2] = btf + max_entries + lambda;
	event->address.s_addr = bpf_htonl(0x7f000001);
}

SEC("uprobe/libc:getppid")
int BPF_UPROBE(on_getppid)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32, first = 0;
	struct { __u64 hits; __u64 misses; } *both;
	struct event *event;

	if (pid != only_pid)
		return 0;
	both = bpf_map_lookup_elem(&per_cpu, &first);
	if (both)
		both->hits += step;
	event = bpf_map_lookup_elem(&events_by_pid, &pid);
	if (event)
		fill(event);
	fill(&last);
	apart += text[0] + folded;
	event = skep_reserve(ring);
	if (!event)
		return 0;
	fill(event);
	skep_submit(event);
	return 0;
}

SEC("?raw_tp/sys_enter")
int lambda_(void *ctx)
{
	return pointed != 0 && pairs[0].low && nameless.inner && below;
}
"""
