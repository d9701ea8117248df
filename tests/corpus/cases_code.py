"""Functions, callbacks and instructions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corpus_case import Case
from corpus_maps import prices
from corpus_steps import info, run

if TYPE_CHECKING:
    import skep


def _mixed() -> int:
    """Do what code_large does."""
    state = 1
    for _ in range(1200):
        state ^= state << 13 & (1 << 64) - 1
        state ^= state >> 7
        state ^= state << 17 & (1 << 64) - 1
    return state


def _large(live: skep.Object) -> None:
    assert live.programs["mixes"].info.xlated_length > 8 * 5000


CASES = [
    Case("function_static", "function: static", run("calls", returns=6 + 16)),
    Case(
        "function_global",
        "function: global",
        run("asks", returns=2),
        variables={"last": 15},
    ),
    Case("function_weak", "function: weak", run("asks", returns=42)),
    Case("function_hidden", "function: global and hidden", run("asks", returns=42)),
    Case(
        "function_section",
        "function: in odd sections",
        run("calls", returns=11 + 3 * 64),
        run("calls_too", returns=3 * 74),
    ),
    Case(
        "function_shared",
        "function: shared by programs",
        run("uses_a", returns=1),
        run("uses_c", returns=112),
        run("uses_b", returns=1),
        variables={"calls": 1 + 4 + 2},
    ),
    Case(
        "function_loop_callback",
        "callback: bpf_loop",
        run("loops", returns=4950),
        variables={"rounds": 100, "stopped": 6},
    ),
    Case(
        "function_map_callback",
        "callback: bpf_for_each_map_elem",
        prices,
        run("adds"),
        variables={"visited": 3},
        maps={"prices": {1: 0, 2: 0, 3: 0}},
    ),
    Case(
        "function_exception",
        "exceptions",
        run("throws", returns=42),
        run("throws_plainly", returns=7),
        run("does_not_throw", returns=20),
        functions={"bpf_throw": (6, 7)},
        clang=15,
    ),
    Case(
        "function_tail_call_in_subprogram",
        "tail call in a subprogram",
        run("asks", returns=23),
    ),
    Case(
        "function_same_name",
        "linked: static functions of one name",
        run("first", returns=105 + 7001 + 10000),
        run("second", returns=21),
        linked=True,
        big_endian=False,
    ),
    Case(
        "linked_maps",
        "linked: extern map, weak and strong function",
        run("writes", returns=0),
        run("reads", returns=42),
        linked=True,
        big_endian=False,
    ),
    Case(
        "code_atomics",
        "code: atomic operations",
        run("all"),
        variables={
            "added": 42,
            "ored": 0xFF,
            "anded": 0x0F,
            "flipped": 0xF0,
            "exchanged": 50,
            "compared": 60,
            "missed": 7,
            "narrow": 15,
            "old_added": 1,
            "old_exchanged": 5,
            "old_compared": 6,
            "old_missed": 7,
            "old_narrow": 10,
        },
    ),
    Case(
        "code_v1",
        "code: instruction set v1",
        run("loops"),
        variables={"rounds": 46, "smallest": -7},
        flags=("-mcpu=v1",),
    ),
    Case(
        "code_v2",
        "code: instruction set v2",
        run("compares"),
        variables={"answers": 5},
        flags=("-mcpu=v2",),
    ),
    Case(
        "code_v4",
        "code: instruction set v4",
        run("divides"),
        variables={"quotient": -3, "rest": -2, "extended": -2, "swapped": 0x44332211},
        flags=("-mcpu=v4",),
        needs=("cpu_v4",),
        clang=18,
    ),
    Case(
        "code_classic_loads",
        "code: ld_abs, ld_ind",
        run("protocol", data=bytes(14) + bytes([2, 0, 1, 2]) + bytes(46), returns=770),
        run("beyond", returns=0),
    ),
    Case(
        "code_large",
        "code: thousands of instructions",
        run("mixes"),
        _large,
        variables={"state": _mixed},
    ),
    Case(
        "code_iterator",
        "code: open-coded iterators",
        run("loops"),
        variables={"sum": sum(range(10, 1000)), "rounds": 7},
        functions={"bpf_iter_num_new": (6, 4)},
    ),
    Case(
        "code_dynptr",
        "code: dynamic pointers",
        run("writes", returns=0),
        variables={"read_back": 0x1122334455667788, "past": -7},
    ),
    Case("code_tags", "code: declaration and type tags", run("uses", returns=0)),
    Case(
        "code_license",
        "code: licence that is not the GPL",
        run("asks", returns=1),
        info("asks", gpl_compatible=False),
    ),
    Case(
        "code_license_missing",
        "code: no licence",
        run("answers", returns=42),
        info("answers", gpl_compatible=False),
    ),
    Case(
        "code_objects",
        "code: allocated objects",
        run("allocates", returns=0),
        variables={"sum": 42},
        functions={"bpf_obj_new_impl": (6, 2)},
    ),
    Case(
        "code_names",
        "code: long and similar names",
        run("a_program_with_a_name_of_many_letters", returns=1),
        run("a_program_with_a_name_of_more_letters", returns=2),
        run("p", returns=4),
        info("p", name="p"),
        info("a_program_with_a_name_of_more_letters", name="a_program_with_"),
    ),
    Case(
        "code_many_programs",
        "code: many programs",
        *[run(f"program_{number}", returns=1) for number in range(6)],
        run("program_6", returns=1),
        run("program_7", returns=1),
        run("program_7", returns=2),
        maps={"runs": {**dict.fromkeys(range(7), 1), 7: 2}},
    ),
    Case(
        "code_printk",
        "code: format strings",
        run("prints"),
        variables={"text": "3 of four", "length": 10},
    ),
]
