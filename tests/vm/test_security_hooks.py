"""LSM programs, which decide: what they refuse is refused. Guests are booted with lsm=...,bpf."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

import skep
from skep.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from compiling import CompileBpf

SOURCE = r"""
#include <skep/bpf.h>

struct qstr { const unsigned char *name; } SKEP_CORE;
struct dentry { struct qstr d_name; } SKEP_CORE;
struct linux_binprm { const char *filename; } SKEP_CORE;

__u32 own; /* the process, or the parent of the processes, that count */
__u64 asked, executions, refusals;
char forbidden[64];

struct task_struct { struct task_struct *real_parent; int tgid; } SKEP_CORE;

SEC("lsm/inode_mkdir")
int BPF_PROG(on_mkdir, void *parent, struct dentry *dentry, unsigned short mode, int ret)
{
    char name[8] = {};

    if (ret || bpf_get_current_pid_tgid() >> 32 != own) return ret;
    asked++;
    bpf_probe_read_kernel_str(name, sizeof(name), dentry->d_name.name);
    return bpf_strncmp(name, 4, "no") ? 0 : -13; /* EACCES */
}

SEC("lsm.s/bprm_check_security")
int BPF_PROG(on_exec, struct linux_binprm *program, int ret)
{
    struct task_struct *task = (void *) bpf_get_current_task();
    char name[64] = {};

    if (ret || BPF_CORE_READ(task, real_parent, tgid) != own) return ret;
    executions++;
    bpf_probe_read_kernel_str(name, sizeof(name), program->filename);
    for (int i = 0; i < sizeof(name); i++) {
        if (name[i] != forbidden[i]) return 0;
        if (!name[i]) break;
    }
    refusals++;
    return -1; /* EPERM */
}

char LICENSE[] SEC("license") = "GPL";
"""


@pytest.fixture
def loaded(compile_bpf: CompileBpf) -> Iterator[skep.Object]:
    spec = skep.ObjectSpec.from_file(compile_bpf(SOURCE))
    spec.variables["own"] = os.getpid()
    spec.variables["forbidden"] = "/bin/false"
    with spec.load() as loaded:
        yield loaded


def test_a_hook_decides(loaded: skep.Object, tmp_path: Path) -> None:
    with loaded.attach("on_mkdir") as links:
        assert [link.kind for link in links] == ["tracing"]
        (tmp_path / "yes").mkdir()
        with pytest.raises(PermissionError):
            (tmp_path / "no").mkdir()
    assert loaded.variables["asked"].value == 2
    (tmp_path / "no").mkdir()
    assert loaded.variables["asked"].value == 2


def test_a_sleepable_hook_decides(loaded: skep.Object) -> None:
    with loaded.attach("on_exec"):
        subprocess.run(["/bin/true"], check=True)
        with pytest.raises(PermissionError):
            subprocess.run(["/bin/false"], check=False)
    assert loaded.variables["executions"].value == 2
    assert loaded.variables["refusals"].value == 1
    assert subprocess.run(["/bin/false"], check=False).returncode == 1


def test_an_unknown_hook_is_named(compile_bpf: CompileBpf) -> None:
    source = SOURCE.replace("lsm/inode_mkdir", "lsm/inode_mkdirr")
    with pytest.raises(NotFoundError, match="inode_mkdirr") as caught:
        skep.ObjectSpec.from_file(compile_bpf(source)).load()
    assert "program 'on_mkdir'" in str(caught.value)
