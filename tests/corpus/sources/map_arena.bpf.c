/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* An arena: memory that programs and user space share, with pointers of its own address space. */
#include <skep/bpf.h>

#define __arena __attribute__((address_space(1)))

struct {
	__uint(type, BPF_MAP_TYPE_ARENA);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 4);
} arena SEC(".maps");

void __arena *bpf_arena_alloc_pages(void *map, void __arena *address, __u32 pages, int node,
				    __u64 flags) __ksym __weak;

struct node {
	struct node __arena *next;
	__u64 value;
};

int __arena counter = 40;
__u64 sum;

SEC("syscall")
int list(void *ctx)
{
	struct node __arena *first = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!first)
		return 1;
	first[0].value = 20;
	first[0].next = &first[1];
	first[1].value = 22;
	sum = first->value + first->next->value;
	counter += 2;
	return counter;
}

char LICENSE[] SEC("license") = "GPL";
