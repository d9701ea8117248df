"""What is said when programs do not load: all of them at once, each with all that is known."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from skep.errors import (
    LoadErrors,
    NotFoundError,
    RangeError,
    RelocationError,
    SkepError,
    TypeMismatchError,
    VerifierError,
)
from skep.object.spec import ObjectSpec

if TYPE_CHECKING:
    from compiling import CompileBpf

HEAD = """
#include <skep/bpf.h>
char LICENSE[] SEC("license") = "GPL";
struct task_struct { int of_no_kernel; } SKEP_CORE;
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");
"""

# Three of five are broken, each in another way.
FIVE = (
    HEAD
    + """
SEC("socket") int first(struct __sk_buff *skb) { return 1; }

SEC("socket") int unchecked(struct __sk_buff *skb)
{
	__u32 key = 1;
	__u64 *value = bpf_map_lookup_elem(&counts, &key);
	return *value;
}

SEC("socket") int third(struct __sk_buff *skb) { return 3; }

SEC("raw_tp/sched_switch") int no_such_field(void *ctx)
{
	struct task_struct *task = (void *) bpf_get_current_task();
	return BPF_CORE_READ(task, of_no_kernel);
}

SEC("tp_btf/sched_swich") int no_such_target(void *ctx) { return 0; }
"""
)


def test_three_of_five(compile_bpf: CompileBpf) -> None:
    path = compile_bpf(FIVE)
    with pytest.raises(LoadErrors, match=r"3 of 5 programs of .* failed to load") as caught:
        ObjectSpec.from_file(path).load()
    failures = [error for error in caught.value.exceptions if isinstance(error, SkepError)]
    errors = {error.evidence["program"]: error for error in failures}
    assert list(errors) == ["unchecked", "no_such_field", "no_such_target"]
    text = FIVE.splitlines()

    unchecked = errors["unchecked"]
    assert isinstance(unchecked, VerifierError)
    assert unchecked.section == "socket"
    assert unchecked.errno == errno.EACCES
    assert "invalid mem access 'map_value_or_null'" in unchecked.cause
    assert text[unchecked.line_number - 1].strip() == unchecked.line == "return *value;"
    assert unchecked.log.rstrip().splitlines()[-2:]

    field = errors["no_such_field"]
    assert isinstance(field, RelocationError)
    assert (field.type, field.field) == ("struct task_struct", "of_no_kernel")
    assert field.errno
    assert field.section == "raw_tp/sched_switch"
    assert text[field.line_number - 1].strip() == field.line
    assert field.log

    target = errors["no_such_target"]
    assert isinstance(target, NotFoundError)
    assert "sched_switch" in target.hint
    for error in errors.values():
        known = ("program", "section", "errno", "cause", "log", "file", "line_number", "line")
        assert all(name in error.evidence for name in known)
        assert all(getattr(error, name) == error.evidence[name] for name in known)
        assert error.evidence["cause"]
        assert "\n" not in error.evidence["cause"]

    message = str(caught.value)
    for part in ("'unchecked' (section 'socket')", "[EACCES]", "return *value;", "'no_such_field'",
                 "of_no_kernel", "'no_such_target'", "did you mean sched_switch"):  # fmt: skip
        assert part in message


def test_the_others_load(compile_bpf: CompileBpf) -> None:
    spec = ObjectSpec.from_file(compile_bpf(FIVE))
    with spec.load(programs=["first", "third"]) as live:
        assert [live.programs[name].test_run().retval for name in live.programs] == [1, 3]
    with pytest.raises(VerifierError) as caught:  # one failure is no group
        spec.load(programs=["first", "unchecked"])
    assert caught.value.program == "unchecked"


def test_an_address_in_a_variable_is_the_hint(compile_bpf: CompileBpf) -> None:
    source = (
        HEAD
        + """
int other = 3;
void *map = &counts;
SEC("socket") int looks(struct __sk_buff *skb)
{
	__u32 key = 0;
	return bpf_map_lookup_elem(map, &key) != 0;
}
SEC("socket") int fine(struct __sk_buff *skb) { return other; }
"""
    )
    spec = ObjectSpec.from_file(compile_bpf(source))
    assert [name for _, name in spec.maps[".data"].initial] == ["counts"]
    with pytest.raises(VerifierError) as caught:
        spec.load()
    assert caught.value.program == "looks"
    assert "variable 'map' is to hold the address of 'counts', which stays 0" in caught.value.hint
    with spec.load(programs=["fine"]) as live:
        assert live.programs["fine"].test_run().retval == 3


def test_a_common_variable_is_named(compile_bpf: CompileBpf) -> None:
    import compiling

    source = (
        HEAD
        + """
int shared;
SEC("socket") int uses(struct __sk_buff *skb) { return shared; }
SEC("socket") int does_not(struct __sk_buff *skb) { return 3; }
"""
    )
    spec = ObjectSpec.from_file(compiling.bpf(source, "bpfel", "clang-19", "-fcommon"))
    with spec.load(programs=["does_not"]) as live:
        assert live.programs["does_not"].test_run().retval == 3
    problem = str(spec.programs["uses"].problem)
    assert "'shared', a variable that no section holds (compile with -fno-common)" in problem


VARIABLES = (
    HEAD
    + """
__u8 small = 5;
struct { int x; __u16 y[2]; } both;
SEC("socket") int uses(struct __sk_buff *skb) { return small + both.x + both.y[1]; }
"""
)


def test_a_variable_is_named(compile_bpf: CompileBpf) -> None:
    spec = ObjectSpec.from_file(compile_bpf(VARIABLES))
    with spec.load() as live:
        for variables in (spec.variables, live.variables):
            with pytest.raises(RangeError) as caught:
                variables["small"] = 256
            assert caught.value.message == "variable 'small': 256 does not fit __u8 (0 to 255)"
            assert caught.value.evidence["variable"] == "small"
            with pytest.raises(TypeMismatchError, match="variable 'small': __u8 takes an integer"):
                variables["small"] = "x"
            with pytest.raises(RangeError, match=r"variable 'both', y\[1\]: 65536 does not") as c:
                variables["both"] = {"x": 1, "y": (0, 65536)}
            assert c.value.field == "y[1]"
        assert spec.variables["small"].value == live.variables["small"].value == 5
