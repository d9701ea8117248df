"""The object's own BTF in the kernel: downgraded for old kernels, and refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from needs import need_program

from skep.btf.btf import Btf
from skep.btf.types import Kind
from skep.btf.writer import Builder
from skep.build.toolchain import _clangs
from skep.errors import LoadError
from skep.kernel import bpf
from skep.object.btf_layout import NEWER, downgraded
from skep.object.spec import ObjectSpec

if TYPE_CHECKING:
    from compiling import CompileBpf

SOURCE = """
#include <skep/bpf.h>
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1);
	__type(key, __u32); __type(value, __u64); } numbers SEC(".maps");
int counter;
SEC("socket") int count(struct __sk_buff *skb)
{
	__u32 zero = 0;
	__u64 *number = bpf_map_lookup_elem(&numbers, &zero);
	if (number)
		*number += 1;
	return ++counter;
}
"""


def newest() -> Btf:
    """Every kind that Linux 5.8 lacks, between others."""
    builder = Builder()
    small = builder.int("small", 1)
    builder.float("double", 8)
    enum = builder.enum64("wide", [("LOW", 1), ("HIGH", 1 << 40)])
    tagged = builder.type_tag("user", small)
    pointer = builder.pointer(tagged)
    struct = builder.struct("s", 24, [("p", pointer, 0), ("e", enum, 64), ("x", small, 128)])
    builder.decl_tag("a tag, not a name", struct)
    builder.decl_tag("of a member", struct, 2)
    builder.int("last", 4)
    return Btf.from_bytes(builder.build(), name="newest")


def test_a_downgraded_blob_keeps_ids_and_sizes_and_is_accepted() -> None:
    btf = newest()
    bpf.btf_load(btf.raw).close()  # this kernel knows them all
    data = downgraded(btf)
    assert data is not None
    older = Btf.from_bytes(data, name="older")
    assert len(older) == len(btf)
    assert not NEWER & {older.kind_of(id_) for id_ in range(1, len(older))}
    for before in btf.types():
        if before.kind not in {Kind.DECL_TAG, Kind.TYPE_TAG}:
            assert older.size_of(before.id) == btf.size_of(before.id)
    bpf.btf_load(data).close()


def test_a_blob_without_new_kinds_stays_as_it_is() -> None:
    builder = Builder()
    builder.int("int", 4)
    assert downgraded(Btf.from_bytes(builder.build())) is None


def test_programs_load_without_a_btf_that_the_kernel_refuses(compile_bpf: CompileBpf) -> None:
    spec = ObjectSpec.from_file(compile_bpf(SOURCE))
    builder = Builder()
    int_ = builder.int("int", 4)
    builder.struct("bad", 4, [("past_the_end", int_, 64)])
    spec.btf = Btf.from_bytes(builder.build(), name="bad")
    with spec.load() as obj:
        assert isinstance(obj.btf_error, LoadError)
        assert obj.btf_error.kind == "btf"
        assert "exceeds its struct size" in obj.btf_error.message
        assert obj.btf_fd is None
        assert obj.programs["count"].test_run().retval == 1
        assert obj.maps["numbers"][0] == 1


@pytest.mark.parametrize("compiler", ["ziglang", "clang"])
def test_what_compilers_leave_open_is_filled_in(compile_bpf: CompileBpf, compiler: str) -> None:
    if compiler == "clang" and not list(_clangs()):
        need_program("clang")
    spec = ObjectSpec.from_file(compile_bpf(SOURCE, compiler=compiler))
    with spec.load() as obj:
        assert obj.btf_error is None
        assert obj.btf_fd is not None
        info = obj.maps[".bss"].info
        assert info.btf_value_type_id == spec.maps[".bss"].value_type_id != 0
