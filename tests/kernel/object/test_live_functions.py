"""Functions that programs are made of: callbacks, exceptions, and objects made by a linker."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from needs import need_function, need_program

from skep.errors import ElfError, ExternError, VerifierError
from skep.object.spec import ObjectSpec

if TYPE_CHECKING:
    from pathlib import Path

    from compiling import CompileBpf

HEAD = '#include <skep/bpf.h>\nchar LICENSE[] SEC("license") = "GPL";\n'

THROWING = r"""
extern void bpf_throw(__u64 cookie) __ksym;
int handled;
static __noinline int note(__u64 cookie) { handled += cookie; return handled; }
__noinline int handler(__u64 cookie) { return note(cookie) + 1000; }
__noinline static int risky(int x) { if (x > 5) bpf_throw(x); return x; }
int given = 9;

SEC("tc") __exception_cb(handler) int thrower(struct __sk_buff *skb)
{
	risky(given);
	return 1;
}
SEC("tc") int plain(struct __sk_buff *skb)
{
	risky(given);
	return 2;
}
"""


def test_an_exception_callback_is_part_of_the_program(compile_bpf: CompileBpf) -> None:
    need_function("bpf_throw", (6, 7))
    spec = ObjectSpec.from_file(compile_bpf(HEAD + THROWING))
    assert [len(spec.programs[name].code.functions) for name in ("thrower", "plain")] == [4, 2]
    with spec.load() as obj:
        assert obj.programs["thrower"].test_run(bytes(64)).retval == 1009
        assert obj.programs["plain"].test_run(bytes(64)).retval == 9  # the cookie
        obj.variables["given"] = 3
        assert obj.programs["thrower"].test_run(bytes(64)).retval == 1
        assert obj.variables["handled"].value == 9


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("__noinline int handler", "static __noinline int handler"), "no global function"),
        (("__exception_cb(handler)", "__exception_cb(nobody)"), "callback 'nobody'"),
        (("__exception_cb(handler)", "__exception_cb(handler) __exception_cb(b)"), "2 exception"),
    ],
)
def test_a_wrong_exception_callback_harms_its_program_only(
    compile_bpf: CompileBpf, change: tuple[str, str], said: str
) -> None:
    need_function("bpf_throw", (6, 7))
    source = THROWING.replace(*change).replace(
        "int given", "int (*keep)(__u64) = handler;int given"
    )
    spec = ObjectSpec.from_file(compile_bpf(HEAD + source))
    with pytest.raises(ElfError, match=rf"'thrower' \(section 'tc'\).*{said}"):
        spec.load()
    with spec.load(programs=["plain"]) as obj:
        assert obj.programs["plain"].test_run(bytes(64)).retval == 9


TIMED = r"""
struct element { struct bpf_timer timer; };
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1);
	__type(key, __u32); __type(value, struct element);
} timers SEC(".maps");
int rang;
static int more(void) { return 40; }
static int ring(void *map, __u32 *key, struct element *element) { rang = more() + 2; return 0; }
SEC("syscall") int start(void *ctx)
{
	__u32 zero = 0;
	struct element *element = bpf_map_lookup_elem(&timers, &zero);

	if (!element)
		return 1;
	bpf_timer_init(&element->timer, &timers, 1);
	bpf_timer_set_callback(&element->timer, ring);
	return bpf_timer_start(&element->timer, 1000, 0);
}
static int visit(void *map, __u32 *key, void *value, int *count) { *count += 1; return 0; }
SEC("syscall") int walk(void *ctx)
{
	int count = 0;

	bpf_for_each_map_elem(&timers, visit, &count, 0);
	return count;
}
"""


def test_callbacks_of_timers_and_maps(compile_bpf: CompileBpf) -> None:
    with ObjectSpec.from_file(compile_bpf(HEAD + TIMED)).load() as obj:
        assert obj.programs["start"].test_run().retval == 0
        deadline = time.monotonic() + 10
        while not obj.variables["rang"].value and time.monotonic() < deadline:
            os.sched_yield()
        assert obj.variables["rang"].value == 42
        assert obj.programs["walk"].test_run().retval == 1


ODD_PLACES = r"""
static __noinline SEC("elsewhere") int far(int x) { return x * 3; }
__weak __noinline int loose(int x) { return far(x) + 1; }
__noinline SEC("unknown_kind") int global_far(int x) { return x + 7; }
static long step(__u64 index, int *sum) { *sum += index; return 0; }
SEC("socket") int use(struct __sk_buff *skb)
{
	int sum = 0;

	bpf_loop(4, step, &sum, 0);
	return loose(10) * 1000 + global_far(1) * 100 + sum;
}
SEC("skep_unheard_of/thing") int unheard(void *ctx) { return 1; }
"""


def test_functions_in_odd_sections_and_sections_of_no_kind(compile_bpf: CompileBpf) -> None:
    spec = ObjectSpec.from_file(compile_bpf(HEAD + ODD_PLACES))
    assert not spec.programs["unheard"].autoload
    assert spec.programs["unheard"].type == 0
    with spec.load() as obj:
        assert list(obj.programs) == ["use"]
        assert obj.programs["use"].test_run().retval == 31 * 1000 + 8 * 100 + 6


FIRST = r"""
struct shared_map {
	__uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 2);
	__type(key, __u32); __type(value, __u64);
};
extern int helper(int x);                 /* defined by the other file */
extern int common;                        /* so is this */
extern struct shared_map values __attribute__((section(".maps")));
__weak int overridden(int x) { return x + 1; }
static __noinline int same_name(int x) { return x * 2 + common; }
SEC("socket") int first(struct __sk_buff *skb)
{
	__u32 key = 1;
	__u64 seven = 7;

	bpf_map_update_elem(&values, &key, &seven, 0);
	return helper(same_name(10)) + overridden(1000);
}
extern unsigned CONFIG_HZ __kconfig;
extern void *bpf_skep_invented(int a) __ksym __weak;
SEC("socket") int hertz(struct __sk_buff *skb)
{
	return CONFIG_HZ + (bpf_ksym_exists(bpf_skep_invented) ? 1 : 0);
}
"""
SECOND = r"""
struct shared_map {
	__uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 2);
	__type(key, __u32); __type(value, __u64);
};
struct shared_map values SEC(".maps");
int common = 5;
extern unsigned CONFIG_HZ __kconfig;
int overridden(int x) { return x + 2; }
static __noinline int same_name(int x) { return x * 100; }
__noinline int helper(int x) { return same_name(x) + common; }
SEC("socket") int second(struct __sk_buff *skb)
{
	__u32 key = 1;
	__u64 *value = bpf_map_lookup_elem(&values, &key);

	return same_name(3) + (value ? *value : 0);
}
SEC("socket") int doubled(struct __sk_buff *skb) { return 2 * CONFIG_HZ; }
"""


@pytest.fixture
def linked(compile_bpf: CompileBpf, tmp_path: Path) -> Path:
    need_program("bpftool")
    path = tmp_path / "linked.o"
    inputs = [compile_bpf(HEAD + FIRST), compile_bpf(HEAD + SECOND)]
    subprocess.run(["bpftool", "gen", "object", path, *inputs], check=True)
    return path


def test_objects_made_by_a_linker(linked: Path) -> None:
    spec = ObjectSpec.from_file(linked)
    assert set(spec.maps) == {"values", ".data", ".kconfig"}
    assert set(spec.programs) == {"first", "hertz", "second", "doubled"}
    spec.externs["CONFIG_HZ"].value = 300
    with spec.load() as obj:
        assert obj.btf_error is None
        # helper(10 * 2 + 5) + 1002: each file calls the function of that name of its own
        assert obj.programs["first"].test_run().retval == 25 * 100 + 5 + 1002
        assert obj.programs["second"].test_run().retval == 300 + 7
        assert obj.programs["hertz"].test_run().retval == 300
        assert obj.programs["doubled"].test_run().retval == 600
        assert dict(obj.maps["values"].items())[1] == 7


def test_an_object_that_was_not_linked_says_so(compile_bpf: CompileBpf) -> None:
    spec = ObjectSpec.from_file(compile_bpf(HEAD + FIRST.replace("extern struct", "struct")))
    with spec.load(programs=["hertz"]) as obj:
        assert obj.programs["hertz"].test_run().retval > 0
    with pytest.raises(ExternError) as caught:
        spec.load()
    assert set(caught.value.names) == {"helper", "common"}
    assert "bpftool gen object" in caught.value.message


def test_a_kernel_function_that_is_no_kfunc_is_left_to_the_verifier(
    compile_bpf: CompileBpf,
) -> None:
    need_function("bpf_task_from_pid", (6, 2))
    source = r"""
extern __u64 nsecs_to_jiffies64(__u64 n) __ksym;
SEC("socket") int wrong(struct __sk_buff *skb) { return nsecs_to_jiffies64(5); }
"""
    with pytest.raises(VerifierError, match="nsecs_to_jiffies64 is not allowed") as caught:
        ObjectSpec.from_file(compile_bpf(HEAD + source)).load()
    assert caught.value.hint.startswith("it is no function for programs")
