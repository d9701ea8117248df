"""Arenas: memory that programs and user space share, with pointers that both follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from needs import need

from skep.errors import ElfError, KernelError, RangeError, UnsupportedError
from skep.kernel.syscall import page_size
from skep.object.spec import ObjectSpec

if TYPE_CHECKING:
    from compiling import CompileBpf

SOURCE = r"""
#include <skep/bpf.h>

#define __arena __attribute__((address_space(1)))

struct {
	__uint(type, BPF_MAP_TYPE_ARENA);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 100);
	EXTRA
} arena SEC(".maps");

struct node { __u64 value; struct node __arena *next; };

void __arena *bpf_arena_alloc_pages(void *map, void __arena *addr, __u32 pages, int node,
	__u64 flags) __ksym;

struct node __arena *head;
__u64 __arena total = 5;
int __arena table[1500] = {1, 2, 3};
const volatile int extra = 1;

SEC("syscall") int push(void *ctx)
{
	struct node __arena *made = bpf_arena_alloc_pages(&arena, 0, 1, -1, 0);

	if (!made) return 1;
	made->value = total;
	made->next = head;
	head = made;
	total += table[2] * extra;
	table[1400] = 77;
	return 0;
}

SEC("syscall") int sum(void *ctx)
{
	struct node __arena *each = head;
	int i, found = 0;

	bpf_for(i, 0, 100) {
		if (!each) break;
		found += each->value;
		each = each->next;
	}
	return found + table[5];
}
char LICENSE[] SEC("license") = "GPL";
"""
ADDRESS = 1 << 44


@pytest.fixture(autouse=True)
def wanted() -> None:
    need("arena")


@pytest.mark.parametrize("extra", ["", f"__ulong(map_extra, {ADDRESS});"])
@pytest.mark.parametrize("compiler", ["ziglang", "clang-19"])
def test_pointers_are_followed_on_both_sides(
    compile_bpf: CompileBpf, extra: str, compiler: str
) -> None:
    spec = ObjectSpec.from_file(compile_bpf(SOURCE.replace("EXTRA", extra), compiler=compiler))
    spec.variables["total"] = 37
    with spec.load() as live:
        values = live.variables
        for _ in range(3):
            assert live.programs["push"].test_run().retval == 0
        assert values["total"].value == 37 + 3 * 3
        assert values["table"].value[:4] == (1, 2, 3, 0)
        assert values["table"].value[1400] == 77
        memory = live.maps["arena"].memory()
        assert memory is not None
        assert memory.length == 100 * page_size
        if extra:
            assert memory.address == ADDRESS
        found, each = [], values["head"].value
        while each:
            at = each - memory.address
            found.append(int.from_bytes(memory.view[at : at + 8], "little"))
            each = int.from_bytes(memory.view[at + 8 : at + 16], "little")
        assert found == [43, 40, 37]
        # What is written here is seen there.
        at = values["head"].value - memory.address
        memory.view[at : at + 8] = (1000).to_bytes(8, "little")
        values["table"] = (0,) * 5 + (3,) + (0,) * 1494
        assert live.programs["sum"].test_run().retval == 1000 + 40 + 37 + 3
        assert live.programs["push"].test_run().retval == 0
        assert values["total"].value == 46  # the table is zero


def test_a_place_that_is_taken(compile_bpf: CompileBpf) -> None:
    source = SOURCE.replace("EXTRA", f"__ulong(map_extra, {ADDRESS});")
    spec = ObjectSpec.from_file(compile_bpf(source))
    with spec.load(), pytest.raises(KernelError, match="arena"):
        spec.load()
    with spec.load() as again:  # free by now
        assert again.programs["push"].test_run().retval == 0


def test_the_variables_need_room(compile_bpf: CompileBpf) -> None:
    spec = ObjectSpec.from_file(compile_bpf(SOURCE.replace("EXTRA", "")))
    spec.maps["arena"].max_entries = 1
    with pytest.raises(RangeError, match="has 4096 bytes, and its variables 6008") as caught:
        spec.load()
    assert caught.value.hint == "raise max_entries, its pages"


def test_an_arena_has_no_items(compile_bpf: CompileBpf) -> None:
    spec = ObjectSpec.from_file(compile_bpf(SOURCE.replace("EXTRA", "")))
    with spec.load() as live, pytest.raises(UnsupportedError, match="has no keys"):
        live.maps["arena"][0]


def test_variables_without_an_arena(compile_bpf: CompileBpf) -> None:
    source = """
#include <skep/bpf.h>
int __attribute__((address_space(1))) lost = 1;
SEC("syscall") int f(void *ctx) { return 0; }
"""
    with pytest.raises(ElfError, match=r"has variables in an arena .* and no arena"):
        ObjectSpec.from_file(compile_bpf(source))
