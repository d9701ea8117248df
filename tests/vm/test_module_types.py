"""Types of kernel modules: read, found by name, relocated against, one of them corrupt."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import private_mounts
import pytest

from skep.btf import modules
from skep.btf.codec import codec
from skep.btf.format_c import declaration
from skep.btf.kernel import own_btf
from skep.btf.modules import module_btf, module_names, modules_with, refused_modules
from skep.btf.target import find_target
from skep.btf.types import Composite, Kind, Struct
from skep.object.minimize import minimize
from skep.object.spec import ObjectSpec

if TYPE_CHECKING:
    from pathlib import Path

    from compiling import CompileBpf

    from skep.btf.btf import Btf

# Both structs are private to their modules, in all kernels since 5.8.
SOURCE = r"""
#include <skep/bpf.h>
char LICENSE[] SEC("license") = "GPL";

struct veth_priv { void *peer; unsigned int requested_headroom; int no_such_member; } SKEP_CORE;
struct nft_ctx { void *chain; __u8 family; } SKEP_CORE;
struct task_struct { int pid; } SKEP_CORE;
struct no_module_has_this { int x; } SKEP_CORE;

__s64 answers[8];

SEC("raw_tp/sys_enter") int ask(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	answers[0] = bpf_core_type_exists(struct veth_priv);
	answers[1] = bpf_core_type_size(struct veth_priv);
	answers[2] = bpf_core_field_exists(struct veth_priv, no_such_member);
	answers[3] = bpf_core_field_offset(struct veth_priv, requested_headroom);
	answers[4] = bpf_core_type_exists(struct nft_ctx);
	answers[5] = bpf_core_field_exists(struct nft_ctx, family);
	answers[6] = bpf_core_type_exists(struct no_module_has_this);
	answers[7] = BPF_CORE_READ(task, pid);
	return 0;
}
"""

RUN = """
import json
from skep import ObjectSpec
from skep.btf.modules import refused_modules
with ObjectSpec.from_file(sys.argv[1]).load() as obj:
    obj.programs["ask"].test_run()
    print(json.dumps({"answers": list(obj.variables["answers"].value), "pid": os.getpid(),
                      "refused": refused_modules(), "source": obj.target.source}))
"""


def run(
    script: str, path: Path, *arguments: str, empty: str = private_mounts.BTF, btf: str = "auto"
) -> dict[str, Any]:
    variables = {"SKEP_BTF": btf}
    done = private_mounts.python(
        script + RUN, str(path), *arguments, empty=empty, variables=variables
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.fixture
def path(compile_bpf: CompileBpf) -> Path:
    return compile_bpf(SOURCE)


def test_every_module_is_parsed() -> None:
    base = own_btf()
    names = module_names()
    assert {"veth", "nf_tables", "tun"} <= set(names)
    assert "vmlinux" not in names
    structs = 0
    for name in names:
        btf = module_btf(name, base)
        assert btf.first_id == len(base) < len(btf)
        for found in btf.types():
            if isinstance(found, Composite) and found.size < 1 << 16:
                made = codec(btf, found.id)
                assert made.pack(made.unpack(bytes(found.size))) == bytes(found.size), found
                assert declaration(btf, found.id, "x")
                structs += 1
    assert structs > 100


def test_only_the_module_with_the_type_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modules, "_opened", {})
    base = own_btf()
    assert [name for name, _ in modules_with("veth_priv", base)] == ["veth"]
    assert list(modules._opened) == ["veth"]
    assert [name for name, _ in modules_with("veth_open", base)] == ["veth"]  # a function
    assert list(modules_with("no_module_has_this", base)) == []
    assert refused_modules() == {}


def members(btf: Btf, name: str) -> tuple[Struct, dict[str, int]]:
    found = btf.find_type(name, Kind.STRUCT)
    assert isinstance(found, Struct)
    return found, {member.name: member.bit_offset // 8 for member in found.members}


def test_relocations_find_types_of_modules(path: Path) -> None:
    base = own_btf()
    veth, offsets = members(module_btf("veth", base), "veth_priv")
    _, others = members(module_btf("nf_tables", base), "nft_ctx")
    assert base.find("veth_priv", Kind.STRUCT) == base.find("nft_ctx", Kind.STRUCT) == []
    with ObjectSpec.from_file(path).load() as obj:
        obj.programs["ask"].test_run()
        answers = list(obj.variables["answers"].value)
    expected = [1, veth.size, 0, offsets["requested_headroom"], 1, int("family" in others), 0]
    assert answers == [*expected, os.getpid()]


def test_a_minimised_file_has_types_of_modules_too(path: Path, tmp_path: Path) -> None:
    small = tmp_path / "min.btf"
    small.write_bytes(minimize([ObjectSpec.from_file(path)], find_target("sysfs")))
    with ObjectSpec.from_file(path).load() as obj:
        obj.programs["ask"].test_run()
        expected = list(obj.variables["answers"].value)
    found = run("", path, btf=str(small))
    assert found["source"] == "file"
    assert found["answers"][:7] == expected[:7]


@pytest.mark.parametrize("content", [b"", b"no BTF", bytes(100)])
def test_a_corrupt_module_does_not_stop_a_load(path: Path, tmp_path: Path, content: bytes) -> None:
    """One module's file is replaced by rubbish, for the child only."""
    bad = tmp_path / "bad"
    # The name must be in it, or nobody would look any closer.
    bad.write_bytes(content + b"\0veth_priv\0nft_ctx\0")
    bind = """
call("mount", os.fsencode(sys.argv[2]), b"/sys/kernel/btf/nf_tables", None, ctypes.c_ulong(0x1000),
     None)
"""
    found = run(bind, path, str(bad), empty="")
    assert list(found["refused"]) == ["nf_tables"]
    veth, offsets = members(module_btf("veth", own_btf()), "veth_priv")
    expected = [1, veth.size, 0, offsets["requested_headroom"], 0, 0, 0, found["pid"]]
    assert found["answers"] == expected
