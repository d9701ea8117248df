/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sections, map definitions and attributes: the conventions every eBPF loader understands.
 */
#ifndef SKEP_MACROS_H
#define SKEP_MACROS_H

#include <skep/types.h>

/* Macro machinery: the number of arguments (0 to 12), and one macro per number. */
#define SKEP_JOIN_(a, b) a##b
#define SKEP_JOIN(a, b) SKEP_JOIN_(a, b)
#define SKEP_COUNT_(_, a, b, c, d, e, f, g, h, i, j, k, l, n, ...) n
#define SKEP_COUNT(...) SKEP_COUNT_(_, ##__VA_ARGS__, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)

#ifndef SKEP_AFTER_LIBBPF_HELPERS
#define __BPF_HELPERS__

/* Puts a program, map or variable into the section that says what it is. */
#define SEC(name) __attribute__((section(name), used))

/*
 * Map definitions. A map is a variable of a structure type in SEC(".maps") that is never read
 * as memory: its attributes are spelled as member types, which is how they reach the loader
 * (through BTF).
 *
 *	struct {
 *		__uint(type, BPF_MAP_TYPE_HASH);
 *		__uint(max_entries, 10240);
 *		__type(key, __u32);
 *		__type(value, struct value);
 *	} counts SEC(".maps");
 */
#define __uint(name, val) int (*name)[val]
#define __type(name, val) __typeof__(val) *name
#define __array(name, val) __typeof__(val) *name[]
/* A number that does not fit an array length (more than 31 bits), such as map_extra. */
#define __ulong(name, val) enum { SKEP_JOIN(skep_ulong_, __COUNTER__) = (val) } name

/* Values of __uint(pinning, ...). */
enum libbpf_pin_type {
	LIBBPF_PIN_NONE,
	LIBBPF_PIN_BY_NAME,
};

/* The type of a CONFIG_* option that can be a module, declared `extern ... __kconfig`. */
enum libbpf_tristate {
	TRI_NO = 0,
	TRI_YES = 1,
	TRI_MODULE = 2,
};

#endif /* SKEP_AFTER_LIBBPF_HELPERS */

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif
#ifndef __noinline
#define __noinline __attribute__((noinline))
#endif
#ifndef __weak
#define __weak __attribute__((weak))
#endif
/* A global function that the verifier checks in the context of its callers, like a static one. */
#ifndef __hidden
#define __hidden __attribute__((visibility("hidden")))
#endif
/* Externs the loader resolves: kernel configuration, kernel symbols and functions. */
#ifndef __kconfig
#define __kconfig __attribute__((section(".kconfig")))
#endif
#ifndef __ksym
#define __ksym __attribute__((section(".ksyms")))
#endif
#ifndef __kptr
#define __kptr __attribute__((btf_type_tag("kptr")))
#endif
#ifndef __kptr_untrusted
#define __kptr_untrusted __attribute__((btf_type_tag("kptr_untrusted")))
#endif
#ifndef __percpu_kptr
#define __percpu_kptr __attribute__((btf_type_tag("percpu_kptr")))
#endif
/* A pointer to user memory in a task-storage value, pinned by the kernel (Linux 6.13). */
#ifndef __uptr
#define __uptr __attribute__((btf_type_tag("uptr")))
#endif

/*
 * Whether the kernel has an extern: bpf_ksym_exists(bpf_function), bpf_ksym_exists(&variable).
 * It must be __weak: the compiler takes a strong one for
 * granted, and the loader refuses a program whose strong externs are missing. Code behind a test
 * that fails is never verified, so it may call what is not there.
 */
#ifndef bpf_ksym_exists
#define bpf_ksym_exists(symbol) ({ \
	_Static_assert(!__builtin_constant_p(!!(symbol)), #symbol " must be declared __weak"); \
	!!(symbol); \
})
#endif

/* On a program: the function that is called when it throws (bpf_throw, Linux 6.7). */
#ifndef __exception_cb
#define __exception_cb(function) \
	__attribute__((btf_decl_tag("exception_callback:" #function)))
#endif

/* On parameters of global functions: what the verifier may assume, and callers must keep to. */
#ifndef __arg_ctx
#define __arg_ctx __attribute__((btf_decl_tag("arg:ctx")))
#endif
#ifndef __arg_nonnull
#define __arg_nonnull __attribute__((btf_decl_tag("arg:nonnull")))
#endif
#ifndef __arg_nullable
#define __arg_nullable __attribute__((btf_decl_tag("arg:nullable")))
#endif
#ifndef __arg_trusted
#define __arg_trusted __attribute__((btf_decl_tag("arg:trusted")))
#endif
#ifndef __arg_untrusted
#define __arg_untrusted __attribute__((btf_decl_tag("arg:untrusted")))
#endif
#ifndef __arg_arena
#define __arg_arena __attribute__((btf_decl_tag("arg:arena")))
#endif

/*
 * How skep reads a member, typedef or global variable, where its C type does not say it:
 *
 *	struct flow {
 *		__u32 server SKEP_IPV4;
 *		__u16 port SKEP_BIG;
 *		enum verdict verdict SKEP_NAMES;
 *		__u8 state SKEP_ENUM(tcp_state);
 *	};
 *
 * __be16 and the like are big-endian without a tag, and so are struct in_addr and in6_addr
 * addresses.
 */
#define SKEP_TAG(text) __attribute__((btf_decl_tag("skep:" text)))
/* An address in network order: 4 or 16 bytes, of whatever type. */
#define SKEP_IPV4 SKEP_TAG("ipv4")
#define SKEP_IPV6 SKEP_TAG("ipv6")
/* A number, or an array of them, that is in this byte order on every machine. */
#define SKEP_BIG SKEP_TAG("big")
#define SKEP_LITTLE SKEP_TAG("little")
/* An enum, or an integer with the values of `enum name`, read as the name of its value. */
#define SKEP_NAMES SKEP_TAG("enum")
#define SKEP_ENUM(name) SKEP_TAG("enum " #name)

/* A kernel version as the LINUX_KERNEL_VERSION extern gives it. */
#ifndef KERNEL_VERSION
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + ((c) > 255 ? 255 : (c)))
#endif

#ifndef offsetof
#define offsetof(type, member) __builtin_offsetof(type, member)
#endif
#ifndef container_of
#define container_of(ptr, type, member) \
	((type *) ((char *) (1 ? (ptr) : &((type *) 0)->member) - offsetof(type, member)))
#endif

/* Memory may have changed: nothing read before stays in a register. */
#ifndef barrier
#define barrier() __asm__ volatile("" ::: "memory")
#endif
/* The compiler knows nothing of `var` from here on: keeps a bounds check where it was written. */
#ifndef barrier_var
#define barrier_var(var) __asm__ volatile("" : "+r"(var))
#endif

#endif
