"""The table of what the verifier says: each row is what it really says to such a program."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from docs_support import DOCS

from skep import ObjectSpec
from skep.errors import VerifierError

if TYPE_CHECKING:
    from compiling import CompileBpf

HEAD = """
#include <skep/bpf.h>
char LICENSE[] SEC("license") = "%s";
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct skep_hist);
} map SEC(".maps");
SEC("raw_tp/sched_switch")
int program(struct bpf_raw_tracepoint_args *ctx)
{
    __u32 first = 0;
    struct skep_hist *found = bpf_map_lookup_elem(&map, &first);
    __u64 number = bpf_get_prandom_u32();
    (void) found, (void) number;
"""

# What is wrong, by the words of the table's second column.
WRONG = {
    "compare the result": "return found->sum;",
    "that is a kernel address": "return *(int *)ctx->args[1];",
    "bound the index": "if (found) found->slots[number] = 1; return 0;",
    "give the loop a constant bound": "while (number) barrier_var(number); return 0;",
    "GPL": "char text[8]; bpf_probe_read_kernel(text, 8, (void *)ctx->args[1]); return text[0];",
}


def rows() -> list[tuple[list[str], str]]:
    """Return the rows of the table: what the verifier may say, and what to do."""
    table = (DOCS / "errors.md").read_text().partition("| it says | it means |")[2]
    table = table.partition("\n\n")[0]
    found = re.findall(r"^\| (`.*?) \| (.*) \|$", table, re.MULTILINE)
    return [(re.findall(r"`([^`]+)`", says), means) for says, means in found]


@pytest.mark.parametrize(("says", "means"), rows(), ids=lambda cell: str(cell)[:24])
def test_row(compile_bpf: CompileBpf, says: list[str], means: str) -> None:
    body = next(wrong for words, wrong in WRONG.items() if words in means)
    head = HEAD % ("Proprietary" if "GPL" in means else "GPL")
    spec = ObjectSpec.from_file(compile_bpf(f"{head}    {body}\n}}\n"))
    with pytest.raises(VerifierError) as caught:
        spec.load()
    assert any(phrase in caught.value.log for phrase in says), caught.value.log
    assert any(phrase.strip("`'") in caught.value.evidence["cause"] for phrase in says), (
        caught.value.log
    )


def test_every_row_was_tried() -> None:
    assert len(rows()) == len(WRONG)
