"""The object's own BTF in the kernel: downgraded for old kernels, and refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from needs import need_program

from skep.btf import types
from skep.btf.btf import Btf
from skep.btf.types import Kind
from skep.btf.writer import Builder
from skep.build.toolchain import _clangs
from skep.errors import KernelError, LoadError
from skep.kernel import bpf
from skep.kernel.release import release
from skep.object.btf_downgrade import STEPS, downgraded, downgrades
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
    """Every kind and flag that some kernel lacks, between others."""
    builder = Builder()
    small = builder.int("small", 1)
    builder.float("double", 8)
    enum = builder.enum64("wide", [("LOW", 1), ("HIGH", 1 << 40)])
    builder.enum("signed_one", [("BELOW", -1)])
    tagged = builder.type_tag("user", small)
    pointer = builder.pointer(tagged)
    attributed = builder.type_tag("noderef", small, attribute=True)
    struct = builder.struct("s", 24, [("p", pointer, 0), ("e", enum, 64), ("x", small, 128)])
    builder.decl_tag("a tag, not a name", struct)
    builder.decl_tag("of a member", struct, 2)
    builder.decl_tag("packed", struct, attribute=True)
    proto = builder.func_proto(small, [("a", builder.pointer(attributed)), ("b", struct)])
    builder.func("function", proto)
    variables = [builder.var("one", small), builder.var("two", struct, 0)]
    builder.datasec(".data.mine", 32, [(variables[0], 0, 1), (variables[1], 8, 24)])
    builder.int("last", 4)
    return Btf.from_bytes(builder.build(), name="newest")


def features(btf: Btf) -> set[str]:
    """Return which of the steps *btf* has something for."""
    kinds = {btf.kind_of(id_) for id_ in range(1, len(btf))}
    found = {
        Kind.ENUM64: "enum64", Kind.TYPE_TAG: "type_tag", Kind.DECL_TAG: "decl_tag",
        Kind.FLOAT: "float", Kind.DATASEC: "datasec", Kind.VAR: "datasec", Kind.FUNC: "func",
        Kind.FUNC_PROTO: "func",
    }  # fmt: skip
    named = {found[kind] for kind in map(Kind, kinds) if kind in found}
    for each in btf.types():
        if isinstance(each, (types.TypeTag, types.DeclTag)) and each.is_attribute:
            named.add("attributes")
        if isinstance(each, types.Enum) and each.signed:
            named.add("enum64")
        if isinstance(each, types.Func) and each.linkage:
            named.add("global_func")
    return named


def test_each_step_takes_one_thing_out_and_is_accepted() -> None:
    btf = newest()
    if release() < (6, 15):  # the first to know kind_flag of tags
        with pytest.raises(KernelError):
            bpf.btf_load(btf.raw)
    else:
        bpf.btf_load(btf.raw).close()
    left = list(STEPS[1:])
    assert features(btf) == set(left)
    replaced = {Kind.DECL_TAG, Kind.TYPE_TAG, Kind.VAR}
    for data in downgrades(btf):
        older = Btf.from_bytes(data, name="older")
        del left[0]
        assert features(older) == set(left)
        assert len(older) == len(btf)
        for before in btf.types():
            if before.kind not in replaced | {Kind.FUNC, Kind.FUNC_PROTO}:
                assert older.size_of(before.id) == btf.size_of(before.id)
        for name in ("small", "s", "last"):
            assert older.find(name) == btf.find(name)
        bpf.btf_load(data).close()
    assert left == []
    assert downgraded(btf) == data


def test_what_a_data_section_becomes() -> None:
    data = downgraded(newest())
    assert data is not None
    section = Btf.from_bytes(data).find_type("_data_mine")
    assert isinstance(section, types.Struct)
    assert section.size == 32
    assert [(m.name, m.bit_offset) for m in section.members] == [("one", 0), ("two", 64)]


def test_names_that_only_another_language_allows() -> None:
    builder = Builder()
    u32 = builder.int("core::num::u32", 4)  # any name will do for an integer
    inner = builder.struct("Option<u32>", 4, [("0", u32, 0)])
    builder.enum("Ordering<é>", [("Less", 0), ("a.b", 1)])
    proto = builder.func_proto(inner, [("self", inner), ("{closure#0}", u32)])
    builder.func("<T as Into<U>>::into", proto)
    btf = Btf.from_bytes(builder.build(), name="rust")
    with pytest.raises(KernelError):
        bpf.btf_load(btf.raw)
    first = next(downgrades(btf))
    bpf.btf_load(first).close()
    names = {found.name for found in Btf.from_bytes(first).types()}
    assert names == {"core::num::u32", "Option_u32_", "Ordering___", "", "_T_as_Into_U____into"}


def test_every_step_serves_an_object(compile_bpf: CompileBpf) -> None:
    """Programs and maps load with what older kernels would get."""
    spec = ObjectSpec.from_file(compile_bpf(SOURCE))
    assert spec.btf is not None
    steps = list(downgrades(spec.btf))
    assert steps
    for data in steps:
        if Btf.from_bytes(data).find("count", Kind.FUNC):
            older = spec.copy()
            older.btf = Btf.from_bytes(data, name="older")
            with older.load() as obj:
                assert obj.btf_error is None
                assert obj.programs["count"].test_run().retval == 1


def test_a_blob_of_the_oldest_kinds_stays_as_it_is() -> None:
    builder = Builder()
    builder.int("int", 4)
    assert downgraded(Btf.from_bytes(builder.build())) is None


def test_an_enum_that_is_only_declared_gets_a_size(compile_bpf: CompileBpf) -> None:
    spec = ObjectSpec.from_file(compile_bpf(SOURCE + "enum declared; enum declared *global;\n"))
    assert spec.btf is not None
    assert spec.btf.size_of(spec.btf.find("declared", Kind.ENUM)[0]) == 4
    with spec.load() as obj:
        assert obj.btf_error is None


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
