/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Everything a BPF program needs, with nothing else installed:
 *
 *	#include <skep/bpf.h>
 *
 *	char LICENSE[] SEC("license") = "GPL";
 *
 * A vmlinux.h may be included before this file, and so may libbpf's own headers.
 */
#ifndef SKEP_BPF_H
#define SKEP_BPF_H

#ifndef __bpf__
#error "skep/bpf.h is for BPF programs: compile this file with skep build (clang -target bpf)"
#endif

#include <skep/types.h>
#include <skep/macros.h>
#include <skep/helpers.h>
#include <skep/core.h>
#include <skep/tracing.h>
#include <skep/printk.h>
#include <skep/endian.h>
#include <skep/histogram.h>
#include <skep/iterators.h>
#include <skep/output.h>

#endif
