"""BPF tokens: a process without privileges loads what a delegating bpffs lets it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import token_child
from needs import need

from skep.errors import LoadError, NotFoundError
from skep.object.spec import ObjectSpec

if TYPE_CHECKING:
    from pathlib import Path

    from compiling import CompileBpf

SOURCE = r"""
#include <skep/bpf.h>

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

SEC("xdp")
int count(struct xdp_md *ctx)
{
	__u32 key = 5;
	__u64 one = 1;
	bpf_map_update_elem(&counts, &key, &one, 0);
	return XDP_PASS;
}
char LICENSE[] SEC("license") = "GPL";
"""
EVERYTHING = {
    "delegate_cmds": "any",
    "delegate_maps": "any",
    "delegate_progs": "any",
    "delegate_attachs": "any",
}


@pytest.fixture
def counting(compile_bpf: CompileBpf) -> str:
    need("token")
    return str(compile_bpf(SOURCE))


@pytest.mark.parametrize("how", ["argument", "variable"])
def test_a_token_lets_a_user_namespace_load(counting: str, how: str) -> None:
    report = token_child.run(counting, how, EVERYTHING)
    assert report == {"loaded": ["count"], "retval": 2, "counts": {"5": 1}}


def test_without_a_token_nothing_is_loaded(counting: str) -> None:
    report = token_child.run(counting, "none", EVERYTHING)
    assert report["kind"] == "PrivilegeError"


def test_what_is_not_delegated_is_refused(counting: str) -> None:
    report = token_child.run(counting, "argument", {**EVERYTHING, "delegate_progs": "kprobe"})
    assert report["kind"] == "PrivilegeError"
    assert "program 'count' is refused, though with a BPF token" in str(report["error"])
    report = token_child.run(counting, "argument", {**EVERYTHING, "delegate_maps": "array"})
    assert "map 'counts' is refused, though with a BPF token" in str(report["error"])
    assert "with more in delegate_maps" in str(report["error"])


def test_a_folder_that_delegates_nothing(counting: str) -> None:
    report = token_child.run(counting, "argument", {})
    assert report["kind"] == "LoadError"
    assert "mounted without delegating anything" in str(report["error"])


def test_a_folder_that_is_no_bpffs(counting: str, tmp_path: Path) -> None:
    spec = ObjectSpec.from_file(counting)
    with pytest.raises(LoadError, match="it is no bpf file system") as caught:
        spec.load(token=tmp_path)
    assert caught.value.call == "BPF_TOKEN_CREATE"
    with pytest.raises(NotFoundError, match=r"no BPF token can be made from .*/nowhere"):
        spec.load(token=tmp_path / "nowhere")


def test_a_variable_is_named(
    counting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIBBPF_BPF_TOKEN_PATH", str(tmp_path))
    with pytest.raises(LoadError, match=r"\(from LIBBPF_BPF_TOKEN_PATH\)"):
        ObjectSpec.from_file(counting).load()
    monkeypatch.setenv("SKEP_BPF_TOKEN", "")  # the first one counts, and says: no token
    with ObjectSpec.from_file(counting).load() as live:
        assert live.programs["count"].test_run().retval == 2
