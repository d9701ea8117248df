"""Programs at kernel functions: fentry, fexit, fmod_ret. The first test machine forbids them."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest
from needs import need

import skep
from skep.errors import AttachError, NotFoundError, VerifierError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from compiling import CompileBpf

# vfs_rmdir has had these three arguments, the first of changing type, since Linux 5.12.
SOURCE = r"""
#include <skep/bpf.h>

struct qstr { const unsigned char *name; __u32 len; } SKEP_CORE;
struct dentry { struct qstr d_name; } SKEP_CORE;

__u32 own;             /* the process that counts */
__u64 entries, exits, refusals;
long result;
__u64 cookie;
char entered[32], left[32];

static int ours(void) { return bpf_get_current_pid_tgid() >> 32 == own; }

SEC("fentry/vfs_rmdir")
int BPF_PROG(on_entry, void *map, void *parent, struct dentry *dentry)
{
    if (!ours()) return 0;
    entries++;
    cookie = bpf_get_attach_cookie(ctx);
    bpf_probe_read_kernel_str(entered, sizeof(entered), dentry->d_name.name);
    return 0;
}

SEC("fexit/vfs_rmdir")
int BPF_PROG(on_exit, void *map, void *parent, struct dentry *dentry, int ret)
{
    if (!ours()) return 0;
    exits++;
    result = ret;
    bpf_probe_read_kernel_str(left, sizeof(left), dentry->d_name.name);
    return 0;
}

SEC("fmod_ret/security_inode_rmdir")
int BPF_PROG(refuse, void *parent, struct dentry *dentry, int ret)
{
    char name[8] = {};

    if (ret || !ours()) return ret;
    bpf_probe_read_kernel_str(name, sizeof(name), dentry->d_name.name);
    if (bpf_strncmp(name, 4, "keep")) return 0;
    refusals++;
    return -1; /* EPERM */
}

char LICENSE[] SEC("license") = "GPL";
"""


@pytest.fixture
def loaded(compile_bpf: CompileBpf) -> Iterator[skep.Object]:
    need("fentry")
    spec = skep.ObjectSpec.from_file(compile_bpf(SOURCE))
    spec.variables["own"] = os.getpid()
    with spec.load() as loaded:
        yield loaded


def test_arguments_and_result_are_seen(loaded: skep.Object, tmp_path: Path) -> None:
    values = loaded.variables
    full = tmp_path / "full"
    (full / "empty").mkdir(parents=True)
    with loaded.attach("on_entry", "on_exit") as links:
        assert [link.kind for link in links] == ["tracing", "tracing"]
        (full / "empty").rmdir()
        assert (values["entered"].value, values["left"].value) == ("empty", "empty")
        assert values["result"].value == 0
        (full / "new").mkdir()
        with pytest.raises(OSError, match="not empty"):
            full.rmdir()
        assert values["entered"].value == "full"
        assert values["result"].value == -errno.ENOTEMPTY
        assert (values["entries"].value, values["exits"].value) == (2, 2)
    (full / "new").rmdir()  # nobody looks any more
    assert (values["entries"].value, values["exits"].value) == (2, 2)


def test_every_call_is_counted(loaded: skep.Object, tmp_path: Path) -> None:
    with loaded.attach("on_entry", "on_exit"):
        for number in range(200):
            (tmp_path / str(number)).mkdir()
            (tmp_path / str(number)).rmdir()
    assert loaded.variables["entries"].value == 200
    assert loaded.variables["exits"].value == 200
    assert loaded.variables["left"].value == "199"


def test_a_cookie_arrives(loaded: skep.Object, tmp_path: Path) -> None:
    with skep.links.tracing(loaded.programs["on_entry"], cookie=1 << 40 | 7) as link:
        (tmp_path / "x").mkdir()
        (tmp_path / "x").rmdir()
    assert loaded.variables["cookie"].value == 1 << 40 | 7
    assert link.cookies == (1 << 40 | 7,)


def test_a_result_can_be_changed(loaded: skep.Object, tmp_path: Path) -> None:
    for name in ("keep", "drop"):
        (tmp_path / name).mkdir()
    with loaded.attach("refuse", "on_exit"):
        with pytest.raises(PermissionError):
            (tmp_path / "keep").rmdir()
        assert loaded.variables["result"].value == -errno.EPERM
        (tmp_path / "drop").rmdir()
    assert loaded.variables["refusals"].value == 1
    (tmp_path / "keep").rmdir()


def test_the_function_can_be_chosen_before_loading(compile_bpf: CompileBpf) -> None:
    spec = skep.ObjectSpec.from_file(compile_bpf(SOURCE))
    spec.variables["own"] = os.getpid()
    for name in ("on_exit", "refuse"):
        spec.programs[name].autoload = False
    spec.programs["on_entry"].attach_to = "security_inode_rmdir"
    # The third argument is now past the second and last: the verifier says so.
    with pytest.raises(VerifierError, match="program 'on_entry'") as caught:
        spec.load()
    assert "func 'security_inode_rmdir' doesn't have 3-th argument" in caught.value.log


def test_an_unknown_function_is_named(compile_bpf: CompileBpf) -> None:
    source = SOURCE.replace("fentry/vfs_rmdir", "fentry/vfs_rmdirr")
    with pytest.raises(NotFoundError, match="'vfs_rmdirr'") as caught:
        skep.ObjectSpec.from_file(compile_bpf(source)).load()
    assert "program 'on_entry'" in str(caught.value)


def test_twice_at_the_same_function(loaded: skep.Object, tmp_path: Path) -> None:
    program = loaded.programs["on_entry"]
    with skep.links.tracing(program), pytest.raises(AttachError, match="'on_entry'"):
        skep.links.tracing(program).close()
    with skep.links.tracing(program):  # the first is gone
        (tmp_path / "x").mkdir()
        (tmp_path / "x").rmdir()
    assert loaded.variables["entries"].value == 1
