"""Objects compiled from C, loaded and run, their results checked by value."""

from __future__ import annotations

import gc
import traceback
from typing import TYPE_CHECKING

import pytest

from skep.errors import (
    ClosedError,
    LoadErrors,
    NotFoundError,
    RelocationError,
    SkepError,
    UnsupportedError,
    VerifierError,
)
from skep.object.spec import ObjectSpec

if TYPE_CHECKING:
    from compiling import CompileBpf

HEAD = '#include <skep/bpf.h>\nchar LICENSE[] SEC("license") = "GPL";\n'

FUNCTIONS = (
    HEAD
    + r"""
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");
const volatile __u64 factor = 2;
__u64 calls;
__u32 start SEC(".data.more") = 30;
static volatile int below = -1;

static __attribute__((noinline)) int leaf(int x) { calls++; return x * (int)factor; }
static __attribute__((noinline)) int branch(int x) { return leaf(x) + leaf(x + 1) + below; }
__attribute__((noinline)) int visible(int x) { return branch(x) + 100; }
static long add(__u64 index, void *sum) { *(long *)sum += index; return 0; }

SEC("socket") int compute(struct __sk_buff *skb)
{
	__u32 key = 5;
	__u64 one = 1;
	bpf_map_update_elem(&counts, &key, &one, 0);
	return visible(start);
}

SEC("socket") int looping(struct __sk_buff *skb)
{
	long sum = 0;
	bpf_loop(10, add, &sum, 0);
	return sum;
}

SEC("?socket") int left_out(struct __sk_buff *skb) { return 1; }
"""
)


@pytest.fixture
def functions(compile_bpf: CompileBpf) -> ObjectSpec:
    return ObjectSpec.from_file(compile_bpf(FUNCTIONS))


def test_functions_maps_and_variables(functions: ObjectSpec) -> None:
    with functions.load() as obj:
        assert list(obj.programs) == ["compute", "looping"]
        # leaf(30) + leaf(31) - 1 + 100
        assert obj.programs["compute"].test_run().retval == 60 + 62 - 1 + 100
        assert dict(obj.maps["counts"].items()) == {5: 1}
        assert obj.variables["calls"].value == 2
        obj.variables["start"] = 1
        obj.variables["below"].value = -50
        assert obj.programs["compute"].test_run().retval == 2 + 4 - 50 + 100
        assert obj.variables["calls"].value == 4


def test_a_static_function_as_a_callback(functions: ObjectSpec) -> None:
    with functions.load() as obj:
        assert obj.programs["looping"].test_run().retval == sum(range(10))


def test_constants_are_set_before_and_fixed_after(functions: ObjectSpec) -> None:
    functions.variables["factor"] = 5
    with functions.load() as obj:
        assert obj.programs["compute"].test_run().retval == 150 + 155 - 1 + 100
        assert obj.variables["factor"].value == 5
        with pytest.raises(UnsupportedError, match="constant"):
            obj.variables["factor"] = 6


def test_a_spec_can_be_loaded_again(functions: ObjectSpec) -> None:
    with functions.load() as first, functions.load() as second:
        first.programs["compute"].test_run()
        assert first.variables["calls"].value == 2
        assert second.variables["calls"].value == 0


def test_programs_can_be_chosen(functions: ObjectSpec) -> None:
    with functions.load(programs=["left_out"]) as obj:
        assert list(obj.programs) == ["left_out"]
    with functions.load(programs=lambda program: program.section == "socket") as obj:
        assert list(obj.programs) == ["compute", "looping"]
    with pytest.raises(NotFoundError, match=r"no program 'compte'.*compute"):
        functions.load(programs=["compte"])


def test_what_was_left_out_says_so(functions: ObjectSpec) -> None:
    functions.maps["extra"] = functions.maps["counts"].copy(name="extra", autocreate=False)
    with functions.load(programs=["compute"]) as obj:
        for name, reason in (
            ("left_out", "autoload is off"),
            ("looping", "load(programs=) left it out"),
        ):
            with pytest.raises(NotFoundError) as caught:
                obj.programs[name]
            assert caught.value.message == f"program {name!r} of {obj.name} was not loaded"
            assert caught.value.hint == reason
            assert name not in obj.programs
        with pytest.raises(NotFoundError, match=r"'left_out' .* was not loaded \(autoload is off"):
            obj.attach("left_out")
        with pytest.raises(NotFoundError, match=r"'extra' .* was not created \(autocreate is off"):
            obj.maps["extra"]
        with pytest.raises(NotFoundError, match=r"no program 'computer' \(there is compute\)"):
            obj.programs["computer"]


def test_live_variables_are_a_mapping_that_can_be_read_at_the_prompt(functions: ObjectSpec) -> None:
    with functions.load() as obj:
        variables = obj.variables
        assert repr(variables["start"]) == "<Variable 'start' in '.data.more' = 30>"
        obj.variables["start"] = 31
        assert repr(variables["start"]) == "<Variable 'start' in '.data.more' = 31>"
        assert set(variables) == set(variables.keys()) == {"factor", "calls", "start", "below"}
        assert len(variables) == len(variables.values()) == 4
        assert {name: variable.value for name, variable in variables.items()} == {
            "factor": 2,
            "calls": 0,
            "start": 31,
            "below": -1,
        }
        assert repr(variables) == f"<LiveVariables of {obj.name}: {', '.join(variables)}>"
        assert variables.get("start") is variables["start"]
        assert variables.get("nothing") is None
        assert functions.variables.get("nothing", 7) == 7
        assert repr(obj).startswith(f"<Object {obj.name}: 2 programs, ")
    assert repr(variables["start"]) == "<Variable 'start' in '.data.more' (closed)>"


def test_a_map_can_be_reused(functions: ObjectSpec) -> None:
    with functions.load() as first:
        with functions.load(reuse_maps={"counts": first.maps["counts"]}) as second:
            second.programs["compute"].test_run()
        assert first.maps["counts"][5] == 1  # still open: it belongs to the first
        with pytest.raises(NotFoundError, match="no map 'count'"):
            functions.load(reuse_maps={"count": first.maps["counts"]})


def test_source_lines_and_functions_are_known_to_the_kernel(functions: ObjectSpec) -> None:
    with functions.load() as obj:
        program = obj.programs["compute"]
        assert program.info.btf_id != 0
        assert program.info.name == "compute"


def test_a_log_can_be_asked_for(functions: ObjectSpec) -> None:
    with functions.load(log_level=2) as obj:
        assert obj.programs["compute"].test_run().retval == 221


def test_close_is_final(functions: ObjectSpec) -> None:
    obj = functions.load()
    counts, program = obj.maps["counts"], obj.programs["compute"]
    obj.close()
    obj.close()
    assert obj.closed
    assert counts.closed
    assert program.fd.closed
    with pytest.raises(ClosedError):
        obj.attach()
    with pytest.raises(ClosedError):
        obj.__enter__()


def test_forgetting_to_close_is_a_warning(functions: ObjectSpec) -> None:
    with pytest.warns(ResourceWarning, match="was never closed"):
        functions.load()
    gc.collect()


def test_initial_values_of_maps(compile_bpf: CompileBpf) -> None:
    source = (
        HEAD
        + r"""
struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
};
struct inner one SEC(".maps");
struct inner two SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 3); __type(key, __u32);
	__array(values, struct inner);
} outer SEC(".maps") = { .values = { [0] = &one, [2] = &two } };
int target(struct __sk_buff *skb);
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 2); __type(key, __u32);
	__array(values, int (struct __sk_buff *));
} jumps SEC(".maps") = { .values = { [1] = target } };

SEC("socket") int target(struct __sk_buff *skb) { return 77; }
SEC("socket") int jump(struct __sk_buff *skb) { bpf_tail_call(skb, &jumps, 1); return 1; }
SEC("socket") int nowhere(struct __sk_buff *skb) { bpf_tail_call(skb, &jumps, 0); return 2; }
SEC("socket") int nested(struct __sk_buff *skb)
{
	__u32 which = 2, zero = 0, seen = 99;
	void *map = bpf_map_lookup_elem(&outer, &which);
	if (!map)
		return 3;
	bpf_map_update_elem(map, &zero, &seen, 0);
	return 4;
}
"""
    )
    with ObjectSpec.from_file(compile_bpf(source)).load() as obj:
        assert obj.programs["jump"].test_run().retval == 77
        assert obj.programs["nowhere"].test_run().retval == 2
        assert obj.programs["nested"].test_run().retval == 4
        assert obj.maps["one"][0] == 0
        assert obj.maps["two"][0] == 99


def test_a_ledger_is_bound_to_its_ring_buffer(compile_bpf: CompileBpf) -> None:
    source = (
        HEAD
        + r"""
struct event { __u32 a; __u32 b; };
SKEP_RINGBUF(events, struct event, 4096);
SEC("raw_tp/sys_enter") int emit(void *ctx)
{
	struct event *event = skep_reserve(events);
	if (!event)
		return 1;
	event->a = 3;
	event->b = 4;
	skep_submit(event);
	return 0;
}
"""
    )
    with ObjectSpec.from_file(compile_bpf(source)).load() as obj:
        results = [obj.programs["emit"].test_run().retval for _ in range(300)]
        # A page holds 4096 / (8 + 8) records, less one: a full ring would look empty.
        assert results == [0] * 255 + [1] * 45
        with obj.maps["events"].stream() as stream:
            assert len(stream.read(timeout=1)) == 255
            stats = stream.stats()
        assert stats.produced == 300
        assert stats.delivered == 255
        assert sum(stats.lost.values()) == 45


BROKEN = (
    HEAD
    + r"""
struct task_struct___mine { int pid; int not_there; } __attribute__((preserve_access_index));

SEC("socket") int good(struct __sk_buff *skb) { return 1; }
SEC("raw_tp/sys_enter") int missing_field(void *ctx)
{
	struct task_struct___mine *task = (void *)bpf_get_current_task();
	return BPF_CORE_READ(task, not_there);
}
SEC("socket") int out_of_bounds(struct __sk_buff *skb)
{
	return *(int *)((void *)skb + 4000); /* too far */
}
SEC("tp_btf/no_such_tracepoint") int no_target(void *ctx) { return 0; }
SEC("raw_tp/sys_enter") int guarded(void *ctx)
{
	struct task_struct___mine *task = (void *)bpf_get_current_task();
	if (bpf_core_field_exists(task->not_there))
		return BPF_CORE_READ(task, not_there);
	return BPF_CORE_READ(task, pid) > 0 ? 8 : 9;
}
"""
)


def declared(error: SkepError) -> set[str]:
    """Return which items of the evidence are declared, with a default, on the error's class."""
    return {name for name in error.evidence if hasattr(type(error), name)}


@pytest.fixture
def broken(compile_bpf: CompileBpf) -> ObjectSpec:
    return ObjectSpec.from_file(compile_bpf(BROKEN))


def test_every_program_that_fails_is_reported(broken: ObjectSpec) -> None:
    with pytest.raises(LoadErrors, match="3 of 5 programs") as caught:
        broken.load()
    kinds = {type(error): error for error in caught.value.exceptions}
    assert set(kinds) == {RelocationError, VerifierError, NotFoundError}
    text = str(caught.value)
    for name in ("missing_field", "out_of_bounds", "no_target"):
        assert f"program '{name}'" in text
    with pytest.raises(ExceptionGroup):  # and it is one
        broken.load()


def test_a_poisoned_instruction_names_type_field_and_reason(broken: ObjectSpec) -> None:
    with pytest.raises(RelocationError) as caught:
        broken.load(programs=["missing_field"])
    error = caught.value
    assert error.program == "missing_field"
    assert error.type == "struct task_struct"
    assert error.field == "not_there"
    assert "needs field not_there of struct task_struct, but in vmlinux's BTF" in error.message
    assert error.reason == "in vmlinux's BTF it does not exist"
    assert f", at {error.file}:{error.line_number}: {error.line}" in error.message
    assert "unknown#195896080" in error.log
    assert declared(error) == set(error.evidence)
    # Nobody has to read of the call that the kernel was offered instead.
    shown = "".join(traceback.format_exception(error))
    assert "195896080" not in shown
    assert "VerifierError" not in shown


def test_the_message_of_the_verifier_has_the_source_line(broken: ObjectSpec) -> None:
    with pytest.raises(VerifierError) as caught:
        broken.load(programs=["out_of_bounds"])
    error = caught.value
    assert error.section == "socket"
    assert error.line == "return *(int *)((void *)skb + 4000); /* too far */"
    source = BROKEN.splitlines()
    assert source[error.line_number - 1].strip() == error.line
    assert error.file.endswith(".bpf.c")
    assert error.instruction == 0
    assert error.cause == "invalid bpf_context access off=4000 size=4"
    assert declared(error) == set(error.evidence)
    assert "[EACCES]: invalid bpf_context access off=4000 size=4, at " in error.message
    assert "\n" not in error.message


def test_poison_that_is_never_reached_does_no_harm(broken: ObjectSpec) -> None:
    with broken.load(programs=["good", "guarded"]) as obj:
        assert obj.programs["guarded"].test_run().retval == 8


def test_an_external_symbol_is_named(compile_bpf: CompileBpf) -> None:
    source = (
        HEAD
        + r"""
extern int some_kernel_variable __attribute__((section(".ksyms")));
SEC("socket") int user(struct __sk_buff *skb) { return (long)&some_kernel_variable >> 8; }
"""
    )
    spec = ObjectSpec.from_file(compile_bpf(source))
    with pytest.raises(SkepError, match="'some_kernel_variable'"):
        spec.load()
