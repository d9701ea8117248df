/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Fixed-width integers and the few kernel types nearly every program needs, for a source that
 * includes no vmlinux.h. After a vmlinux.h this file adds nothing it could clash with.
 *
 * Kernel structures are not here on purpose: declare the fields you read, marked SKEP_CORE
 * (skep/core.h), or include a vmlinux.h ("skep btf dump --format c > vmlinux.h").
 */
#ifndef SKEP_TYPES_H
#define SKEP_TYPES_H

/*
 * libbpf's headers declare the same names. A source may include either set, in either order:
 * what libbpf's have defined is left alone, and what these define sets libbpf's include guards.
 */
#ifdef __BPF_HELPERS__
#define SKEP_AFTER_LIBBPF_HELPERS
#endif

#ifndef __VMLINUX_H__

/* The same spelling as linux/types.h: C11 allows a typedef to be repeated. */
typedef signed char __s8;
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;

typedef __s8 s8;
typedef __u8 u8;
typedef __s16 s16;
typedef __u16 u16;
typedef __s32 s32;
typedef __u32 u32;
typedef __s64 s64;
typedef __u64 u64;

/* Network and little-endian numbers: the name tells readers (and skep) the byte order. */
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u16 __le16;
typedef __u32 __le32;
typedef __u64 __le64;
typedef __u16 __sum16;
typedef __u32 __wsum;

typedef __SIZE_TYPE__ size_t;
typedef int pid_t;

#if __STDC_VERSION__ < 202311L && !defined(bool)
typedef _Bool bool;
#define true 1
#define false 0
#endif

#endif /* __VMLINUX_H__ */

#ifndef NULL
#define NULL ((void *) 0)
#endif

#if !defined(__VMLINUX_H__) && !defined(__LINUX_BPF_H__)

/* BPF_MAP_CREATE: what a map is. */
enum bpf_map_type {
	BPF_MAP_TYPE_UNSPEC = 0,
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PROG_ARRAY = 3,
	BPF_MAP_TYPE_PERF_EVENT_ARRAY = 4,
	BPF_MAP_TYPE_PERCPU_HASH = 5,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_STACK_TRACE = 7,
	BPF_MAP_TYPE_CGROUP_ARRAY = 8,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_LRU_PERCPU_HASH = 10,
	BPF_MAP_TYPE_LPM_TRIE = 11,
	BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
	BPF_MAP_TYPE_HASH_OF_MAPS = 13,
	BPF_MAP_TYPE_DEVMAP = 14,
	BPF_MAP_TYPE_SOCKMAP = 15,
	BPF_MAP_TYPE_CPUMAP = 16,
	BPF_MAP_TYPE_XSKMAP = 17,
	BPF_MAP_TYPE_SOCKHASH = 18,
	BPF_MAP_TYPE_CGROUP_STORAGE_DEPRECATED = 19,
	BPF_MAP_TYPE_CGROUP_STORAGE = 19,
	BPF_MAP_TYPE_REUSEPORT_SOCKARRAY = 20,
	BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE_DEPRECATED = 21,
	BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE = 21,
	BPF_MAP_TYPE_QUEUE = 22,
	BPF_MAP_TYPE_STACK = 23,
	BPF_MAP_TYPE_SK_STORAGE = 24,
	BPF_MAP_TYPE_DEVMAP_HASH = 25,
	BPF_MAP_TYPE_STRUCT_OPS = 26,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_MAP_TYPE_INODE_STORAGE = 28,
	BPF_MAP_TYPE_TASK_STORAGE = 29,
	BPF_MAP_TYPE_BLOOM_FILTER = 30,
	BPF_MAP_TYPE_USER_RINGBUF = 31,
	BPF_MAP_TYPE_CGRP_STORAGE = 32,
	BPF_MAP_TYPE_ARENA = 33,
};

/* BPF_MAP_CREATE: `map_flags`. */
enum {
	BPF_F_NO_PREALLOC = 1,
	BPF_F_NO_COMMON_LRU = 2,
	BPF_F_NUMA_NODE = 4,
	BPF_F_RDONLY = 8,
	BPF_F_WRONLY = 0x10,
	BPF_F_STACK_BUILD_ID = 0x20,
	BPF_F_ZERO_SEED = 0x40,
	BPF_F_RDONLY_PROG = 0x80,
	BPF_F_WRONLY_PROG = 0x100,
	BPF_F_CLONE = 0x200,
	BPF_F_MMAPABLE = 0x400,
	BPF_F_PRESERVE_ELEMS = 0x800,
	BPF_F_INNER_MAP = 0x1000,
	BPF_F_LINK = 0x2000,
	BPF_F_PATH_FD = 0x4000,
	BPF_F_VTYPE_BTF_OBJ_FD = 0x8000,
	BPF_F_TOKEN_FD = 0x10000,
	BPF_F_SEGV_ON_FAULT = 0x20000,
	BPF_F_NO_USER_CONV = 0x40000,
};

/* bpf_map_update_elem: `flags`. */
enum {
	BPF_ANY = 0,
	BPF_NOEXIST = 1,
	BPF_EXIST = 2,
	BPF_F_LOCK = 4,
};

/* What to count or read on: the index argument of perf event helpers. */
enum {
	BPF_F_INDEX_MASK = 0xffffffffULL,
	BPF_F_CURRENT_CPU = 0xffffffffULL,
	BPF_F_CTXLEN_MASK = 0xfffff00000000ULL,
};

/* bpf_get_stackid, bpf_get_stack: `flags`, together with the number of frames to skip. */
enum {
	BPF_F_SKIP_FIELD_MASK = 0xff,
	BPF_F_USER_STACK = 0x100,
	BPF_F_FAST_STACK_CMP = 0x200,
	BPF_F_REUSE_STACKID = 0x400,
	BPF_F_USER_BUILD_ID = 0x800,
};

/* bpf_ringbuf_submit, _discard, _output: `flags`. */
enum {
	BPF_RB_NO_WAKEUP = 1,
	BPF_RB_FORCE_WAKEUP = 2,
};

/* bpf_ringbuf_query: `flags`. */
enum {
	BPF_RB_AVAIL_DATA = 0,
	BPF_RB_RING_SIZE = 1,
	BPF_RB_CONS_POS = 2,
	BPF_RB_PROD_POS = 3,
};

/* bpf_*_storage_get: `flags`. */
enum {
	BPF_LOCAL_STORAGE_GET_F_CREATE = 1,
	BPF_SK_STORAGE_GET_F_CREATE = 1,
};

/* bpf_timer_start: `flags`. */
enum {
	BPF_F_TIMER_ABS = 1,
	BPF_F_TIMER_CPU_PIN = 2,
};

/* bpf_redirect, bpf_clone_redirect: `flags`. */
enum {
	BPF_F_INGRESS = 1,
	BPF_F_BROADCAST = 8,
	BPF_F_EXCLUDE_INGRESS = 16,
};

/* bpf_redirect_neigh and friends: verdict of a program on the lightweight tunnel or tc path. */
enum bpf_ret_code {
	BPF_OK = 0,
	BPF_DROP = 2,
	BPF_REDIRECT = 7,
	BPF_LWT_REROUTE = 128,
	BPF_FLOW_DISSECTOR_CONTINUE = 129,
};

/* bpf_skb_store_bytes: `flags`. */
enum {
	BPF_F_RECOMPUTE_CSUM = 1,
	BPF_F_INVALIDATE_HASH = 2,
};

/* bpf_skb_adjust_room: `mode`. */
enum bpf_adj_room_mode {
	BPF_ADJ_ROOM_NET = 0,
	BPF_ADJ_ROOM_MAC = 1,
};

/* Verdict of an XDP program. */
enum xdp_action {
	XDP_ABORTED = 0,
	XDP_DROP = 1,
	XDP_PASS = 2,
	XDP_TX = 3,
	XDP_REDIRECT = 4,
};

/* Verdict of an sk_skb, sk_msg, sk_lookup or sk_reuseport program. */
enum sk_action {
	SK_DROP = 0,
	SK_PASS = 1,
};
/* Objects a map value or the stack may hold; their insides belong to the kernel. */
struct bpf_spin_lock {
	__u32 val;
};

struct bpf_timer {
	__u64 __opaque[2];
} __attribute__((aligned(8)));

struct bpf_dynptr {
	__u64 __opaque[2];
} __attribute__((aligned(8)));

/* bpf_get_ns_current_pid_tgid(): process and thread id as seen in a pid namespace. */
struct bpf_pidns_info {
	__u32 pid;
	__u32 tgid;
};

/* bpf_perf_event_read_value(). */
struct bpf_perf_event_value {
	__u64 counter;
	__u64 enabled;
	__u64 running;
};

/* Context of an XDP program: offsets are ABI, the verifier rewrites the accesses. */
struct xdp_md {
	__u32 data;
	__u32 data_end;
	__u32 data_meta;
	__u32 ingress_ifindex;
	__u32 rx_queue_index;
	__u32 egress_ifindex;
};

#endif /* !__VMLINUX_H__ && !__LINUX_BPF_H__ */

#ifndef __VMLINUX_H__

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/*
 * Contexts of tracing programs. Members are found by name when the program is loaded, so these
 * list only what programs read. For other tracepoints declare the one you use in the same way:
 * its name is trace_event_raw_<event class>.
 */
struct trace_entry {
	unsigned short type;
	unsigned char flags;
	unsigned char preempt_count;
	int pid;
};

struct trace_event_raw_sys_enter {
	struct trace_entry ent;
	long id;
	unsigned long args[6];
};

struct trace_event_raw_sys_exit {
	struct trace_entry ent;
	long id;
	long ret;
};

#ifndef __LINUX_BPF_H__
/* Arguments as the tracepoint passed them; BPF_PROG (skep/tracing.h) reads them by name. */
struct bpf_raw_tracepoint_args {
	__u64 args[0];
};
#endif

#ifndef __LINUX_BPF_PERF_EVENT_H__
/* Context of a perf_event program; its registers (PT_REGS_*) come first, on every machine. */
struct bpf_perf_event_data {
	__u64 sample_period;
	__u64 addr;
};
#endif

#pragma clang attribute pop

#endif /* __VMLINUX_H__ */

#endif
