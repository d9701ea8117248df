"""Functions and variables of kernel modules, and typed variables of the kernel.

The first test machine has no modules, and no addresses of variables.
"""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from needs import need_symbol

from skep.errors import ExternError
from skep.kernel.module_btf import module_btf_fd
from skep.object.spec import ObjectSpec

if TYPE_CHECKING:
    from compiling import CompileBpf

HEAD = '#include <skep/bpf.h>\nchar LICENSE[] SEC("license") = "GPL";\n'

# The kernel functions of nf_conntrack exist since Linux 5.18.
TRACKING = r"""
struct bpf_sock_tuple { __be32 saddr, daddr; __be16 sport, dport; };
struct bpf_ct_opts { __s32 netns_id; __s32 error; __u8 l4proto; __u8 dir; __u8 reserved[2]; };
struct nf_conn;
extern struct nf_conn *bpf_xdp_ct_lookup(
	struct xdp_md *ctx, struct bpf_sock_tuple *tuple, __u32 tuple_size,
	struct bpf_ct_opts *opts, __u32 opts_size) __ksym;
extern void bpf_ct_release(struct nf_conn *ct) __ksym;
extern int bpf_ct_change_status___weak(struct nf_conn *ct, __u32 status) __ksym __weak;
extern int bpf_ct_change_status___other(int a, int b, int c) __ksym __weak;
int protocol, found;

SEC("xdp") int look_up(struct xdp_md *ctx)
{
	struct bpf_sock_tuple tuple = { .saddr = 1, .daddr = 2, .sport = 3, .dport = 4 };
	struct bpf_ct_opts options = { .netns_id = -1, .l4proto = protocol };
	struct nf_conn *ct =
		bpf_xdp_ct_lookup(ctx, &tuple, sizeof(tuple), &options, sizeof(options));

	if (ct) {
		found++;
		bpf_ct_release(ct);
		return 0;
	}
	return options.error;
}
SEC("xdp") int which(struct xdp_md *ctx)
{
	return (bpf_ksym_exists(bpf_ct_change_status___weak) ? 1 : 0)
		+ (bpf_ksym_exists(bpf_ct_change_status___other) ? 2 : 0);
}
"""


def test_functions_of_a_module_are_called(compile_bpf: CompileBpf) -> None:
    assert Path("/sys/kernel/btf/nf_conntrack").exists()
    with ObjectSpec.from_file(compile_bpf(HEAD + TRACKING)).load() as obj:
        assert obj.btf_error is None
        look_up = obj.programs["look_up"]
        obj.variables["protocol"] = 1  # ICMP: neither TCP nor UDP
        assert look_up.test_run().retval == (1 << 32) - errno.EPROTO
        obj.variables["protocol"] = 6
        assert look_up.test_run().retval == (1 << 32) - errno.ENOENT
        assert obj.variables["found"].value == 0
        assert obj.programs["which"].test_run().retval == 1


def test_the_descriptor_is_that_of_the_module() -> None:
    from skep.kernel.bpf.info import btf_info

    with module_btf_fd("nf_conntrack") as fd:
        info = btf_info(fd)
        assert (info.name, info.is_kernel) == ("nf_conntrack", True)
        assert info.size == Path("/sys/kernel/btf/nf_conntrack").stat().st_size


def test_a_function_of_no_module_has_close_names(compile_bpf: CompileBpf) -> None:
    source = TRACKING.replace("bpf_ct_release", "bpf_skep_ct_release")
    with pytest.raises(ExternError, match="'bpf_skep_ct_release': neither vmlinux's BTF nor a mod"):
        ObjectSpec.from_file(compile_bpf(HEAD + source)).load(programs=["look_up"])


VARIABLES = r"""
struct rq { int cpu; } SKEP_CORE;
extern const struct rq runqueues __ksym;
extern const int bpf_prog_active __ksym;
extern const void init_task __ksym;
extern const int skep_no_variable __ksym __weak;
__u64 addresses[4];
int cpus[2], active = -1;
SEC("raw_tp/sys_enter") int look(void *ctx)
{
	int cpu;

	for (cpu = 0; cpu < 2; cpu++) {
		const struct rq *queue = bpf_per_cpu_ptr(&runqueues, cpu);

		cpus[cpu] = queue ? queue->cpu : -1;
	}
	active = *(const int *) bpf_this_cpu_ptr(&bpf_prog_active);
	addresses[0] = (__u64) &runqueues;
	addresses[1] = (__u64) &bpf_prog_active;
	addresses[2] = (__u64) &init_task;
	addresses[3] = (__u64) &skep_no_variable;
	return 0;
}
"""


def address(name: str) -> int:
    found = subprocess.run(
        ["grep", "-wE", f"{name}(\t.*)?$", "/proc/kallsyms"],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(found.stdout.split()[0], 16)


def test_variables_of_the_kernel(compile_bpf: CompileBpf) -> None:
    with ObjectSpec.from_file(compile_bpf(HEAD + VARIABLES)).load() as obj:
        assert obj.btf_error is None
        with obj.attach():
            os.getppid()
        names = ("runqueues", "bpf_prog_active", "init_task")
        assert list(obj.variables["addresses"].value) == [*map(address, names), 0]
        second = 1 if (os.cpu_count() or 1) > 1 else -1
        assert list(obj.variables["cpus"].value) == [0, second]
        assert obj.variables["active"].value >= 0


def test_variables_of_a_module(compile_bpf: CompileBpf) -> None:
    need_symbol("nft_pcpu_tun_ctx", (6, 2))
    source = r"""
struct nft_inner_tun_ctx;
extern const struct nft_inner_tun_ctx nft_pcpu_tun_ctx __ksym;
__u64 place;
SEC("socket") int look(void *ctx) { place = (__u64) &nft_pcpu_tun_ctx; return 5; }
"""
    with ObjectSpec.from_file(compile_bpf(HEAD + source)).load() as obj:
        assert obj.programs["look"].test_run().retval == 5
        assert obj.variables["place"].value == address("nft_pcpu_tun_ctx") != 0
