"""``skep run --check``: does every probe work here? Load, attach, read once, detach, say so."""

from __future__ import annotations

import asyncio
import contextlib

from skep.agent.status import Phase
from skep.agent.supervisor import Supervisor
from skep.agent.text import clean, duration
from skep.errors import PrivilegeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

    from skep.agent.probe import Probe
    from skep.agent.status import Status

TIMEOUT = 30.0  # seconds for all of it


async def check(probes: Sequence[Probe], *, output: TextIO, seconds: float = TIMEOUT) -> bool:
    """Try every probe once, write a line for each to *output*, and return whether all work.

    Raises `PrivilegeError` when that is what keeps every one of them from working.
    """
    # The interval is never waited for: one read each, then the end.
    async with Supervisor(probes, interval=seconds) as supervisor:
        with contextlib.suppress(TimeoutError):  # the snapshot says which one is stuck
            await asyncio.wait_for(supervisor.read_once(), seconds)
        snapshot = supervisor.snapshot()
        errors = [error for _, error in supervisor.errors()]
    if errors and len(errors) == len(probes) and isinstance(errors[0], PrivilegeError):
        raise errors[0]
    works = 0
    for before, after in zip(snapshot.probes, supervisor.snapshot().probes, strict=True):
        problem = before.reason(snapshot.time)
        if not problem and after.phase is Phase.CLOSED:
            problem = after.problem
        works += not problem
        word, text = ("FAILED", problem) if problem else ("ok", describe(before))
        output.write(clean(f"{word:<6}  {before.name:<10}  {text}") + "\n")
    output.write(f"{works} of {len(probes)} probes work here; everything is detached again\n")
    output.flush()
    return works == len(probes)


def describe(probe: Status) -> str:
    """Say what was attached and read."""
    programs = ", ".join(dict.fromkeys(attachment.target for attachment in probe.attachments))
    samples = sum(len(family.samples) for family in probe.families)
    return (
        f"{len(probe.attachments)} programs attached to {programs or 'nothing'}; "
        f"{samples} values read in {duration(probe.read_seconds)}"
    )
