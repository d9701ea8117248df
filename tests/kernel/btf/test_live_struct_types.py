"""Random C types, laid out by real compilers: what BPF writes skep reads, and the reverse.

`SKEP_STRUCT_TYPES=5000` in the environment takes so many new types for each compiler instead of
the same few every time.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from needs import EMULATED, need_program
from struct_programs import Counts, exchange, source
from struct_types import MAX_LEAVES, Composite, structs

if TYPE_CHECKING:
    from compiling import CompileBpf

WANTED = int(os.environ.get("SKEP_STRUCT_TYPES", "0"))
BATCH = 24  # types in one object
VALUES = 8  # of each type, each way


@pytest.mark.timeout(120 + WANTED)
@pytest.mark.parametrize("compiler", ["ziglang", "clang-19"])
def test_random_types_hold_the_same_for_bpf_and_skep(
    compiler: str, compile_bpf: CompileBpf
) -> None:
    if compiler != "ziglang":
        need_program(compiler)
    counts = Counts()
    examples = -(-WANTED // BATCH) if WANTED else 2 if EMULATED else 8

    def check(types: list[Composite], seed: int) -> None:
        text = source(types, VALUES)
        if not WANTED:
            exchange(compile_bpf(text, compiler=compiler), types, VALUES, seed, counts)
            return
        from skep.build.compiler import compile as compile_source

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "types.bpf.c")
            path.write_text(text)
            made = compile_source(path, path.with_suffix(".o"), compiler=compiler)
            exchange(Path(made), types, VALUES, seed, counts)

    lists = st.lists(structs(), min_size=BATCH, max_size=BATCH)
    run = given(lists, st.integers(0, 1 << 30))(check)
    settings(
        max_examples=examples,
        derandomize=not WANTED,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )(run)()
    print(f"{compiler}: {counts}")
    assert counts.types >= examples * BATCH
    assert counts.values == VALUES * counts.types
    assert 0 < counts.columns < counts.types
    assert counts.numbers <= 4 * MAX_LEAVES * counts.values
