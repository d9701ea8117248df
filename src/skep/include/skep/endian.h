/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Byte order of network and little-endian numbers. Constants fold, variables become one swap.
 */
#ifndef SKEP_ENDIAN_H
#define SKEP_ENDIAN_H

#include <skep/types.h>

#ifndef __BPF_ENDIAN__
#define __BPF_ENDIAN__

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define SKEP_BIG16(x) __builtin_bswap16(x)
#define SKEP_BIG32(x) __builtin_bswap32(x)
#define SKEP_BIG64(x) __builtin_bswap64(x)
#define SKEP_LITTLE16(x) ((__u16) (x))
#define SKEP_LITTLE32(x) ((__u32) (x))
#define SKEP_LITTLE64(x) ((__u64) (x))
#else
#define SKEP_BIG16(x) ((__u16) (x))
#define SKEP_BIG32(x) ((__u32) (x))
#define SKEP_BIG64(x) ((__u64) (x))
#define SKEP_LITTLE16(x) __builtin_bswap16(x)
#define SKEP_LITTLE32(x) __builtin_bswap32(x)
#define SKEP_LITTLE64(x) __builtin_bswap64(x)
#endif

#define bpf_htons(x) SKEP_BIG16(x)
#define bpf_ntohs(x) SKEP_BIG16(x)
#define bpf_htonl(x) SKEP_BIG32(x)
#define bpf_ntohl(x) SKEP_BIG32(x)
#define bpf_cpu_to_be16(x) SKEP_BIG16(x)
#define bpf_be16_to_cpu(x) SKEP_BIG16(x)
#define bpf_cpu_to_be32(x) SKEP_BIG32(x)
#define bpf_be32_to_cpu(x) SKEP_BIG32(x)
#define bpf_cpu_to_be64(x) SKEP_BIG64(x)
#define bpf_be64_to_cpu(x) SKEP_BIG64(x)
#define bpf_cpu_to_le16(x) SKEP_LITTLE16(x)
#define bpf_le16_to_cpu(x) SKEP_LITTLE16(x)
#define bpf_cpu_to_le32(x) SKEP_LITTLE32(x)
#define bpf_le32_to_cpu(x) SKEP_LITTLE32(x)
#define bpf_cpu_to_le64(x) SKEP_LITTLE64(x)
#define bpf_le64_to_cpu(x) SKEP_LITTLE64(x)

#endif /* __BPF_ENDIAN__ */

#endif
