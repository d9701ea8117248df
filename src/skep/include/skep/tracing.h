/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Arguments by name: BPF_PROG for tp_btf, raw_tp, fentry, fexit, LSM and iterators,
 * BPF_KPROBE/BPF_KRETPROBE and BPF_UPROBE/BPF_URETPROBE for probes, PT_REGS_* for registers.
 *
 * Registers are looked up by name in the running kernel's BTF, both for x86-64 and for arm64, and
 * the verifier drops the branch that does not apply: one object serves both machines, and needs
 * no __TARGET_ARCH_* definition.
 */
#ifndef SKEP_TRACING_H
#define SKEP_TRACING_H

#include <skep/core.h>

#ifndef __VMLINUX_H__
struct pt_regs;
#endif

#ifndef __BPF_TRACING_H__
#define __BPF_TRACING_H__

/* The kernel's names (arch/x86/include/asm/ptrace.h), of which only those needed here. */
struct pt_regs___x86 {
	unsigned long bp;
	unsigned long r10;
	unsigned long r9;
	unsigned long r8;
	unsigned long ax;
	unsigned long cx;
	unsigned long dx;
	unsigned long si;
	unsigned long di;
	unsigned long orig_ax;
	unsigned long ip;
	unsigned long sp;
} SKEP_CORE;

/* arch/arm64/include/asm/ptrace.h */
struct pt_regs___arm64 {
	__u64 regs[31];
	__u64 sp;
	__u64 pc;
	__u64 orig_x0;
	int syscallno;
} SKEP_CORE;

/*
 * The barriers keep the two loads apart: merged into one load from a computed address they would
 * be refused ("dereference of modified ctx ptr").
 */
#define SKEP_REGISTER(context, x86, arm64) ({ \
	const void *skep_context = (context); \
	unsigned long skep_register; \
	if (bpf_core_field_exists(struct pt_regs___x86, x86)) { \
		skep_register = ((const struct pt_regs___x86 *) skep_context)->x86; \
		barrier_var(skep_register); \
	} else { \
		skep_register = ((const struct pt_regs___arm64 *) skep_context)->arm64; \
		barrier_var(skep_register); \
	} \
	skep_register; \
})
/* The same for registers that are not the program's own context: read as kernel memory. */
#define SKEP_REGISTER_CORE(pointer, x86, arm64) ({ \
	const void *skep_saved = (pointer); \
	bpf_core_field_exists(struct pt_regs___x86, x86) \
		? (unsigned long) BPF_CORE_READ((const struct pt_regs___x86 *) skep_saved, x86) \
		: (unsigned long) BPF_CORE_READ((const struct pt_regs___arm64 *) skep_saved, arm64); \
})

/* Arguments of a function, 1 to 6. */
#define PT_REGS_PARM1(x) SKEP_REGISTER(x, di, regs[0])
#define PT_REGS_PARM2(x) SKEP_REGISTER(x, si, regs[1])
#define PT_REGS_PARM3(x) SKEP_REGISTER(x, dx, regs[2])
#define PT_REGS_PARM4(x) SKEP_REGISTER(x, cx, regs[3])
#define PT_REGS_PARM5(x) SKEP_REGISTER(x, r8, regs[4])
#define PT_REGS_PARM6(x) SKEP_REGISTER(x, r9, regs[5])
/* Its result. */
#define PT_REGS_RC(x) SKEP_REGISTER(x, ax, regs[0])
/* Frame pointer, stack pointer, instruction pointer. */
#define PT_REGS_FP(x) SKEP_REGISTER(x, bp, regs[29])
#define PT_REGS_SP(x) SKEP_REGISTER(x, sp, sp)
#define PT_REGS_IP(x) SKEP_REGISTER(x, ip, pc)

/* Arguments of a system call, 1 to 6, and its number. */
#define PT_REGS_PARM1_SYSCALL(x) SKEP_REGISTER(x, di, orig_x0)
#define PT_REGS_PARM2_SYSCALL(x) SKEP_REGISTER(x, si, regs[1])
#define PT_REGS_PARM3_SYSCALL(x) SKEP_REGISTER(x, dx, regs[2])
#define PT_REGS_PARM4_SYSCALL(x) SKEP_REGISTER(x, r10, regs[3])
#define PT_REGS_PARM5_SYSCALL(x) SKEP_REGISTER(x, r8, regs[4])
#define PT_REGS_PARM6_SYSCALL(x) SKEP_REGISTER(x, r9, regs[5])
#define PT_REGS_SYSCALL_NR(x) SKEP_REGISTER(x, orig_ax, syscallno)

#define PT_REGS_PARM1_CORE(x) SKEP_REGISTER_CORE(x, di, regs[0])
#define PT_REGS_PARM2_CORE(x) SKEP_REGISTER_CORE(x, si, regs[1])
#define PT_REGS_PARM3_CORE(x) SKEP_REGISTER_CORE(x, dx, regs[2])
#define PT_REGS_PARM4_CORE(x) SKEP_REGISTER_CORE(x, cx, regs[3])
#define PT_REGS_PARM5_CORE(x) SKEP_REGISTER_CORE(x, r8, regs[4])
#define PT_REGS_PARM6_CORE(x) SKEP_REGISTER_CORE(x, r9, regs[5])
#define PT_REGS_RC_CORE(x) SKEP_REGISTER_CORE(x, ax, regs[0])
#define PT_REGS_FP_CORE(x) SKEP_REGISTER_CORE(x, bp, regs[29])
#define PT_REGS_SP_CORE(x) SKEP_REGISTER_CORE(x, sp, sp)
#define PT_REGS_IP_CORE(x) SKEP_REGISTER_CORE(x, ip, pc)

#define PT_REGS_PARM1_CORE_SYSCALL(x) SKEP_REGISTER_CORE(x, di, orig_x0)
#define PT_REGS_PARM2_CORE_SYSCALL(x) SKEP_REGISTER_CORE(x, si, regs[1])
#define PT_REGS_PARM3_CORE_SYSCALL(x) SKEP_REGISTER_CORE(x, dx, regs[2])
#define PT_REGS_PARM4_CORE_SYSCALL(x) SKEP_REGISTER_CORE(x, r10, regs[3])
#define PT_REGS_PARM5_CORE_SYSCALL(x) SKEP_REGISTER_CORE(x, r8, regs[4])
#define PT_REGS_PARM6_CORE_SYSCALL(x) SKEP_REGISTER_CORE(x, r9, regs[5])
#define PT_REGS_SYSCALL_NR_CORE(x) SKEP_REGISTER_CORE(x, orig_ax, syscallno)

/*
 * SEC("tp_btf/sched_switch")
 * int BPF_PROG(on_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
 *
 * defines the program on_switch(), whose context is an array of 64-bit values, and gives its body
 * named arguments; `ctx` stays available. An argument may be an integer, a pointer or an enum.
 *
 * The values pass through (void *), from which C converts to a parameter of any such type
 * without a cast, if told not to warn.
 */
#define SKEP_PROGRAM(name, context, values, ...) \
name(context *ctx); \
static __always_inline __typeof__(name(0)) \
skep_body_##name(context *ctx, ##__VA_ARGS__); \
__typeof__(name(0)) name(context *ctx) \
{ \
	_Pragma("clang diagnostic push") \
	_Pragma("clang diagnostic ignored \"-Wint-conversion\"") \
	return skep_body_##name(SKEP_JOIN(values, SKEP_COUNT(__VA_ARGS__))(ctx)); \
	_Pragma("clang diagnostic pop") \
} \
_Pragma("clang diagnostic push") \
_Pragma("clang diagnostic ignored \"-Wunused-parameter\"") \
static __always_inline __typeof__(name(0)) \
skep_body_##name(context *ctx, ##__VA_ARGS__) \
_Pragma("clang diagnostic pop")

#define SKEP_SLOTS0(ctx) ctx
#define SKEP_SLOTS1(ctx) SKEP_SLOTS0(ctx), (void *) ctx[0]
#define SKEP_SLOTS2(ctx) SKEP_SLOTS1(ctx), (void *) ctx[1]
#define SKEP_SLOTS3(ctx) SKEP_SLOTS2(ctx), (void *) ctx[2]
#define SKEP_SLOTS4(ctx) SKEP_SLOTS3(ctx), (void *) ctx[3]
#define SKEP_SLOTS5(ctx) SKEP_SLOTS4(ctx), (void *) ctx[4]
#define SKEP_SLOTS6(ctx) SKEP_SLOTS5(ctx), (void *) ctx[5]
#define SKEP_SLOTS7(ctx) SKEP_SLOTS6(ctx), (void *) ctx[6]
#define SKEP_SLOTS8(ctx) SKEP_SLOTS7(ctx), (void *) ctx[7]
#define SKEP_SLOTS9(ctx) SKEP_SLOTS8(ctx), (void *) ctx[8]
#define SKEP_SLOTS10(ctx) SKEP_SLOTS9(ctx), (void *) ctx[9]
#define SKEP_SLOTS11(ctx) SKEP_SLOTS10(ctx), (void *) ctx[10]
#define SKEP_SLOTS12(ctx) SKEP_SLOTS11(ctx), (void *) ctx[11]
#define BPF_PROG(name, ...) SKEP_PROGRAM(name, unsigned long long, SKEP_SLOTS, ##__VA_ARGS__)

/*
 * SEC("uprobe/libc:malloc")
 * int BPF_UPROBE(on_malloc, size_t size)
 *
 * the same for probes: the context is `struct pt_regs *ctx`, the arguments are the first six of
 * the probed function as the calling convention passes them in registers.
 */
#define SKEP_PARAMETERS0(ctx) ctx
#define SKEP_PARAMETERS1(ctx) SKEP_PARAMETERS0(ctx), (void *) PT_REGS_PARM1(ctx)
#define SKEP_PARAMETERS2(ctx) SKEP_PARAMETERS1(ctx), (void *) PT_REGS_PARM2(ctx)
#define SKEP_PARAMETERS3(ctx) SKEP_PARAMETERS2(ctx), (void *) PT_REGS_PARM3(ctx)
#define SKEP_PARAMETERS4(ctx) SKEP_PARAMETERS3(ctx), (void *) PT_REGS_PARM4(ctx)
#define SKEP_PARAMETERS5(ctx) SKEP_PARAMETERS4(ctx), (void *) PT_REGS_PARM5(ctx)
#define SKEP_PARAMETERS6(ctx) SKEP_PARAMETERS5(ctx), (void *) PT_REGS_PARM6(ctx)
#define BPF_KPROBE(name, ...) SKEP_PROGRAM(name, struct pt_regs, SKEP_PARAMETERS, ##__VA_ARGS__)

/* SEC("uretprobe/libc:malloc") int BPF_URETPROBE(on_malloc_return, void *result) */
#define SKEP_RESULT0(ctx) ctx
#define SKEP_RESULT1(ctx) ctx, (void *) PT_REGS_RC(ctx)
#define BPF_KRETPROBE(name, ...) SKEP_PROGRAM(name, struct pt_regs, SKEP_RESULT, ##__VA_ARGS__)

#endif /* __BPF_TRACING_H__ */

/* libbpf has these since 1.2, so they may be missing even where its own header was included. */
#ifndef BPF_UPROBE
#define BPF_UPROBE(name, ...) BPF_KPROBE(name, ##__VA_ARGS__)
#define BPF_URETPROBE(name, ...) BPF_KRETPROBE(name, ##__VA_ARGS__)
#endif

#endif
