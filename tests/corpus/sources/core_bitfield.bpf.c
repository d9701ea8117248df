/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* CO-RE kinds 4 and 5, shifts: a bit-field in a socket, read both ways; a plain field the same way. */
#include <skep/bpf.h>

struct sock {
	unsigned short sk_type;
	unsigned short sk_protocol;
	unsigned char sk_no_check_tx:1;
	int sk_sndbuf;
} SKEP_CORE;

int descriptor;
__u64 flag, type, buffer;

struct file { void *private_data; } SKEP_CORE;
struct fdtable { struct file **fd; } SKEP_CORE;
struct files_struct { struct fdtable *fdt; } SKEP_CORE;
struct task_struct { struct files_struct *files; } SKEP_CORE;
struct socket { struct sock *sk; } SKEP_CORE;

SEC("raw_tp/sys_enter")
int ask(void *ctx)
{
	struct task_struct *task = (void *) bpf_get_current_task();
	struct file **files = BPF_CORE_READ(task, files, fdt, fd), *file = 0;
	struct socket *socket;
	struct sock *sock;

	bpf_probe_read_kernel(&file, sizeof(file), files + descriptor);
	socket = BPF_CORE_READ(file, private_data);
	sock = BPF_CORE_READ(socket, sk);
	flag = BPF_CORE_READ_BITFIELD_PROBED(sock, sk_no_check_tx);
	type = BPF_CORE_READ_BITFIELD_PROBED(sock, sk_type);
	buffer = BPF_CORE_READ_BITFIELD_PROBED(sock, sk_sndbuf);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
