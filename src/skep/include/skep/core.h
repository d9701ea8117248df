/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * CO-RE ("compile once, run everywhere"): reads of kernel memory whose offsets, sizes and
 * existence are settled when the program is loaded, against the BTF of the running kernel.
 *
 * The macros have the names and meanings of libbpf's, so either set of headers reads the same.
 */
#ifndef SKEP_CORE_H
#define SKEP_CORE_H

#include <skep/helpers.h>
#include <skep/macros.h>

/*
 * Marks a structure or union declared by hand as the kernel's: members are matched by name and
 * need be neither complete nor in order. A suffix `___anything` of the type's name is ignored,
 * so several versions of one type can be declared side by side.
 */
#define SKEP_CORE __attribute__((preserve_access_index))

/* Second arguments of the compiler's builtins (llvm/lib/Target/BPF/BPFCORE.h). */
enum skep_field_info {
	SKEP_FIELD_BYTE_OFFSET = 0,
	SKEP_FIELD_BYTE_SIZE = 1,
	SKEP_FIELD_EXISTS = 2,
	SKEP_FIELD_SIGNED = 3,
	SKEP_FIELD_LSHIFT_U64 = 4,
	SKEP_FIELD_RSHIFT_U64 = 5,
};

enum skep_type_info {
	SKEP_TYPE_EXISTS = 0,
	SKEP_TYPE_SIZE = 1,
	SKEP_TYPE_MATCHES = 2,
};

enum skep_type_id {
	SKEP_TYPE_ID_LOCAL = 0,
	SKEP_TYPE_ID_TARGET = 1,
};

enum skep_enum_info {
	SKEP_ENUM_VALUE_EXISTS = 0,
	SKEP_ENUM_VALUE = 1,
};

#ifndef __BPF_CORE_READ_H__
#define __BPF_CORE_READ_H__

/* A field is named by an expression (task->pid), or by a type and a member (struct task, pid). */
#define SKEP_FIELD1(expression) (expression)
#define SKEP_FIELD2(type, member) (((__typeof__(type) *) 0)->member)
#define SKEP_FIELD(...) SKEP_JOIN(SKEP_FIELD, SKEP_COUNT(__VA_ARGS__))(__VA_ARGS__)
#define SKEP_OBJECT(type) (*(__typeof__(type) *) 0)

/* 1 when the running kernel has the field. */
#define bpf_core_field_exists(...) \
	__builtin_preserve_field_info(SKEP_FIELD(__VA_ARGS__), SKEP_FIELD_EXISTS)
/* Bytes the field takes in the running kernel. */
#define bpf_core_field_size(...) \
	__builtin_preserve_field_info(SKEP_FIELD(__VA_ARGS__), SKEP_FIELD_BYTE_SIZE)
/* Offset of the field in bytes in the running kernel. */
#define bpf_core_field_offset(...) \
	__builtin_preserve_field_info(SKEP_FIELD(__VA_ARGS__), SKEP_FIELD_BYTE_OFFSET)

/* 1 when the running kernel has a type of this name and kind. */
#define bpf_core_type_exists(type) \
	__builtin_preserve_type_info(SKEP_OBJECT(type), SKEP_TYPE_EXISTS)
/* 1 when the running kernel's type has the same members, recursively. */
#define bpf_core_type_matches(type) \
	__builtin_preserve_type_info(SKEP_OBJECT(type), SKEP_TYPE_MATCHES)
/* sizeof in the running kernel; 0 when there is no such type. */
#define bpf_core_type_size(type) \
	__builtin_preserve_type_info(SKEP_OBJECT(type), SKEP_TYPE_SIZE)
/* BTF id in the object's own BTF. */
#define bpf_core_type_id_local(type) \
	__builtin_btf_type_id(SKEP_OBJECT(type), SKEP_TYPE_ID_LOCAL)
/* BTF id in the running kernel's BTF; 0 when there is no such type. */
#define bpf_core_type_id_kernel(type) \
	__builtin_btf_type_id(SKEP_OBJECT(type), SKEP_TYPE_ID_TARGET)

/* 1 when the running kernel's enum has the enumerator. */
#define bpf_core_enum_value_exists(type, value) \
	__builtin_preserve_enum_value(*(__typeof__(type) *) value, SKEP_ENUM_VALUE_EXISTS)
/* The enumerator's value in the running kernel. */
#define bpf_core_enum_value(type, value) \
	__builtin_preserve_enum_value(*(__typeof__(type) *) value, SKEP_ENUM_VALUE)

/* One read of `size` bytes at the address of a field: bpf_core_read(&x, sizeof(x), &p->f). */
#define bpf_core_read(dst, size, src) \
	bpf_probe_read_kernel(dst, size, (const void *) __builtin_preserve_access_index(src))
#define bpf_core_read_str(dst, size, src) \
	bpf_probe_read_kernel_str(dst, size, (const void *) __builtin_preserve_access_index(src))
#define bpf_core_read_user(dst, size, src) \
	bpf_probe_read_user(dst, size, (const void *) __builtin_preserve_access_index(src))
#define bpf_core_read_user_str(dst, size, src) \
	bpf_probe_read_user_str(dst, size, (const void *) __builtin_preserve_access_index(src))

/*
 * Chains of reads: BPF_CORE_READ(task, mm, exe_file, f_inode, i_ino) is
 * task->mm->exe_file->f_inode->i_ino with each arrow a read that cannot fault; where one fails
 * the result is 0. A step may be `a.b` or `a[2]`. Up to nine steps.
 *
 * SKEP_STEP is one arrow: it copies a member into a variable of the member's type, and is an
 * expression of that value. The pointer is evaluated once, so that a chain of n steps expands
 * to n of these, nested. `address` chooses relocated or fixed offsets.
 */
#define SKEP_RELOCATED(pointer) __builtin_preserve_access_index(pointer)
#define SKEP_FIXED(pointer) (pointer)

#define SKEP_STEP(read, address, pointer, field) ({ \
	__auto_type skep_pointer = (pointer); \
	__typeof__(skep_pointer->field) skep_value; \
	read((void *) &skep_value, sizeof(skep_value), \
	     (const void *) address(&skep_pointer->field)); \
	skep_value; \
})

#define SKEP_CHAIN1(r, o, p, a) SKEP_STEP(r, o, p, a)
#define SKEP_CHAIN2(r, o, p, a, b) SKEP_STEP(r, o, SKEP_CHAIN1(r, o, p, a), b)
#define SKEP_CHAIN3(r, o, p, a, b, c) SKEP_STEP(r, o, SKEP_CHAIN2(r, o, p, a, b), c)
#define SKEP_CHAIN4(r, o, p, a, b, c, d) SKEP_STEP(r, o, SKEP_CHAIN3(r, o, p, a, b, c), d)
#define SKEP_CHAIN5(r, o, p, a, b, c, d, e) SKEP_STEP(r, o, SKEP_CHAIN4(r, o, p, a, b, c, d), e)
#define SKEP_CHAIN6(r, o, p, a, b, c, d, e, f) \
	SKEP_STEP(r, o, SKEP_CHAIN5(r, o, p, a, b, c, d, e), f)
#define SKEP_CHAIN7(r, o, p, a, b, c, d, e, f, g) \
	SKEP_STEP(r, o, SKEP_CHAIN6(r, o, p, a, b, c, d, e, f), g)
#define SKEP_CHAIN8(r, o, p, a, b, c, d, e, f, g, h) \
	SKEP_STEP(r, o, SKEP_CHAIN7(r, o, p, a, b, c, d, e, f, g), h)
#define SKEP_CHAIN9(r, o, p, a, b, c, d, e, f, g, h, i) \
	SKEP_STEP(r, o, SKEP_CHAIN8(r, o, p, a, b, c, d, e, f, g, h), i)
#define SKEP_CHAIN(r, o, p, ...) \
	SKEP_JOIN(SKEP_CHAIN, SKEP_COUNT(__VA_ARGS__))(r, o, p, __VA_ARGS__)

/* As SKEP_STEP and SKEP_CHAIN, but the last step reads with `last` into *dst (its result: errno). */
#define SKEP_STEP_INTO(last, address, dst, pointer, field) ({ \
	__auto_type skep_source = (pointer); \
	last((void *) (dst), sizeof(*(dst)), (const void *) address(&skep_source->field)); \
})

#define SKEP_INTO1(r, l, o, to, p, a) SKEP_STEP_INTO(l, o, to, p, a)
#define SKEP_INTO2(r, l, o, to, p, a, b) SKEP_STEP_INTO(l, o, to, SKEP_CHAIN1(r, o, p, a), b)
#define SKEP_INTO3(r, l, o, to, p, a, b, c) \
	SKEP_STEP_INTO(l, o, to, SKEP_CHAIN2(r, o, p, a, b), c)
#define SKEP_INTO4(r, l, o, to, p, a, b, c, d) \
	SKEP_STEP_INTO(l, o, to, SKEP_CHAIN3(r, o, p, a, b, c), d)
#define SKEP_INTO5(r, l, o, to, p, a, b, c, d, e) \
	SKEP_STEP_INTO(l, o, to, SKEP_CHAIN4(r, o, p, a, b, c, d), e)
#define SKEP_INTO6(r, l, o, to, p, a, b, c, d, e, f) \
	SKEP_STEP_INTO(l, o, to, SKEP_CHAIN5(r, o, p, a, b, c, d, e), f)
#define SKEP_INTO7(r, l, o, to, p, a, b, c, d, e, f, g) \
	SKEP_STEP_INTO(l, o, to, SKEP_CHAIN6(r, o, p, a, b, c, d, e, f), g)
#define SKEP_INTO8(r, l, o, to, p, a, b, c, d, e, f, g, h) \
	SKEP_STEP_INTO(l, o, to, SKEP_CHAIN7(r, o, p, a, b, c, d, e, f, g), h)
#define SKEP_INTO9(r, l, o, to, p, a, b, c, d, e, f, g, h, i) \
	SKEP_STEP_INTO(l, o, to, SKEP_CHAIN8(r, o, p, a, b, c, d, e, f, g, h), i)
#define SKEP_INTO(r, l, o, to, p, ...) \
	SKEP_JOIN(SKEP_INTO, SKEP_COUNT(__VA_ARGS__))(r, l, o, to, p, __VA_ARGS__)

/* Kernel memory. _INTO reads the last member into *dst (use it for arrays), _STR_INTO a string. */
#define BPF_CORE_READ(src, ...) \
	SKEP_CHAIN(bpf_probe_read_kernel, SKEP_RELOCATED, src, __VA_ARGS__)
#define BPF_CORE_READ_INTO(dst, src, ...) \
	SKEP_INTO(bpf_probe_read_kernel, bpf_probe_read_kernel, SKEP_RELOCATED, dst, src, __VA_ARGS__)
#define BPF_CORE_READ_STR_INTO(dst, src, ...) \
	SKEP_INTO(bpf_probe_read_kernel, bpf_probe_read_kernel_str, SKEP_RELOCATED, dst, src, \
		  __VA_ARGS__)

/* The kernel's own types in user memory, such as a system call's struct argument. */
#define BPF_CORE_READ_USER(src, ...) \
	SKEP_CHAIN(bpf_probe_read_user, SKEP_RELOCATED, src, __VA_ARGS__)
#define BPF_CORE_READ_USER_INTO(dst, src, ...) \
	SKEP_INTO(bpf_probe_read_user, bpf_probe_read_user, SKEP_RELOCATED, dst, src, __VA_ARGS__)
#define BPF_CORE_READ_USER_STR_INTO(dst, src, ...) \
	SKEP_INTO(bpf_probe_read_user, bpf_probe_read_user_str, SKEP_RELOCATED, dst, src, \
		  __VA_ARGS__)

/* The same with the offsets of the source's own types: for a user program's structures. */
#define BPF_PROBE_READ(src, ...) SKEP_CHAIN(bpf_probe_read_kernel, SKEP_FIXED, src, __VA_ARGS__)
#define BPF_PROBE_READ_INTO(dst, src, ...) \
	SKEP_INTO(bpf_probe_read_kernel, bpf_probe_read_kernel, SKEP_FIXED, dst, src, __VA_ARGS__)
#define BPF_PROBE_READ_STR_INTO(dst, src, ...) \
	SKEP_INTO(bpf_probe_read_kernel, bpf_probe_read_kernel_str, SKEP_FIXED, dst, src, __VA_ARGS__)
#define BPF_PROBE_READ_USER(src, ...) \
	SKEP_CHAIN(bpf_probe_read_user, SKEP_FIXED, src, __VA_ARGS__)
#define BPF_PROBE_READ_USER_INTO(dst, src, ...) \
	SKEP_INTO(bpf_probe_read_user, bpf_probe_read_user, SKEP_FIXED, dst, src, __VA_ARGS__)
#define BPF_PROBE_READ_USER_STR_INTO(dst, src, ...) \
	SKEP_INTO(bpf_probe_read_user, bpf_probe_read_user_str, SKEP_FIXED, dst, src, __VA_ARGS__)

/*
 * A pointer seen as one to a kernel type, whose members are then read directly and checked by
 * the kernel (Linux 6.2): bpf_core_cast(skb->head, struct skb_shared_info)->nr_frags.
 */
extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __weak __ksym;
#define bpf_core_cast(pointer, type) \
	((__typeof__(type) *) bpf_rdonly_cast((pointer), bpf_core_type_id_kernel(type)))

/*
 * Bit-fields have no address: the loader gives the bytes that hold one and two shifts that
 * leave it right-aligned in 64 bits, with its sign. SKEP_BITS applies the shifts.
 */
#define SKEP_BITS(raw, pointer, field) ({ \
	__u64 skep_bits = (raw); \
	skep_bits <<= __builtin_preserve_field_info((pointer)->field, SKEP_FIELD_LSHIFT_U64); \
	if (__builtin_preserve_field_info((pointer)->field, SKEP_FIELD_SIGNED)) \
		skep_bits = (__u64) ((__s64) skep_bits >> \
			__builtin_preserve_field_info((pointer)->field, SKEP_FIELD_RSHIFT_U64)); \
	else \
		skep_bits >>= __builtin_preserve_field_info((pointer)->field, \
							    SKEP_FIELD_RSHIFT_U64); \
	skep_bits; \
})

/* A bit-field behind a pointer the verifier lets the program read directly (tp_btf, fentry). */
#define BPF_CORE_READ_BITFIELD(src, field) ({ \
	const char *skep_place = (const char *) (src) + \
		__builtin_preserve_field_info((src)->field, SKEP_FIELD_BYTE_OFFSET); \
	__u64 skep_raw = 0; \
	barrier_var(skep_place); /* or the loads below become one, at an unknown offset */ \
	switch (__builtin_preserve_field_info((src)->field, SKEP_FIELD_BYTE_SIZE)) { \
	case 1: skep_raw = *(const __u8 *) skep_place; break; \
	case 2: skep_raw = *(const __u16 *) skep_place; break; \
	case 4: skep_raw = *(const __u32 *) skep_place; break; \
	case 8: skep_raw = *(const __u64 *) skep_place; break; \
	} \
	SKEP_BITS(skep_raw, src, field); \
})

/* A bit-field anywhere in kernel memory. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define SKEP_LOW_BYTES(word, size) (&(word))
#else
#define SKEP_LOW_BYTES(word, size) ((char *) &(word) + (8 - (size)))
#endif
#define BPF_CORE_READ_BITFIELD_PROBED(src, field) ({ \
	__u64 skep_raw = 0; \
	const __u32 skep_size = \
		__builtin_preserve_field_info((src)->field, SKEP_FIELD_BYTE_SIZE); \
	bpf_probe_read_kernel(SKEP_LOW_BYTES(skep_raw, skep_size), skep_size, \
			      (const char *) (src) + \
			      __builtin_preserve_field_info((src)->field, \
							    SKEP_FIELD_BYTE_OFFSET)); \
	SKEP_BITS(skep_raw, src, field); \
})

#endif /* __BPF_CORE_READ_H__ */

#endif
