"""What can be done with a loaded object: test runs, attachments and what triggers them."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from skep.kernel import bpf

if TYPE_CHECKING:
    from collections.abc import Callable

    from corpus_case import Step

    import skep

PATIENCE = 20.0  # seconds for what the kernel does on its own; a guest stands still now and then


def run(
    program: str,
    *,
    returns: int | None = None,
    data: bytes | None = None,
    ctx: bytes = b"",
    data_out: bytes | None = None,
    ctx_out: bytes | None = None,
    repeat: int = 1,
) -> Step:
    """Test-run *program*; what it returns must be as said."""

    def step(live: skep.Object) -> None:
        result = live.programs[program].test_run(data, ctx=ctx, repeat=repeat)
        if returns is not None:
            assert result.retval == returns, f"{program} returned {result.retval}"
        if data_out is not None:
            assert bytes(result.data_out) == data_out
        if ctx_out is not None:
            assert bytes(result.ctx_out) == ctx_out

    return step


def attached(*programs: str, act: Callable[[], Any]) -> Step:
    """Attach *programs* as their section names say, and do what triggers them."""

    def step(live: skep.Object) -> None:
        with live.attach(*programs) as links:
            assert len(links) == (len(programs) or len(live.programs))
            act()

    return step


def until(variable: str, value: Any) -> Step:
    """Wait until *variable* has *value*, which something in the kernel stores later."""

    def step(live: skep.Object) -> None:
        limit = time.monotonic() + PATIENCE
        while live.variables[variable].value != value and time.monotonic() < limit:
            os.sched_yield()
        assert live.variables[variable].value == value

    return step


def not_loaded(*names: str) -> Step:
    """Check that programs were left out."""

    def step(live: skep.Object) -> None:
        for name in names:
            assert name in live.spec.programs
            assert name not in live.programs

    return step


def info(program: str, **expected: Any) -> Step:
    """Compare what the kernel says of *program*."""

    def step(live: skep.Object) -> None:
        found = bpf.prog_info(live.programs[program].fd)
        assert {name: getattr(found, name) for name in expected} == expected

    return step
