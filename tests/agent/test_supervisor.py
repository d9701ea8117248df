"""The supervisor: isolation between probes, health that notices, an end that always comes."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest
from agent_support import MemoryProbe

from skep.agent import health, supervisor
from skep.agent.status import Phase
from skep.agent.supervisor import Supervisor
from skep.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

INTERVAL = 0.02


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait for *condition*; fail when it does not come true in time."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  a thread does it
            await asyncio.sleep(0.002)


def test_every_call_of_a_probe_is_on_its_own_thread() -> None:
    probes = [MemoryProbe("a"), MemoryProbe("b")]

    async def run() -> None:
        async with Supervisor(probes, interval=INTERVAL) as agent:
            await agent.read_once()
            assert agent.snapshot().healthy
            await until(lambda: all(probe.reads >= 3 for probe in probes))

    asyncio.run(run())
    assert [probe.threads for probe in probes] == [{"skep-a"}, {"skep-b"}]
    assert [(probe.opened, probe.closed) for probe in probes] == [(1, 1), (1, 1)]
    assert not [t for t in threading.enumerate() if t.name.startswith("skep-")]


def test_what_was_read_is_published_and_replaced_as_a_whole() -> None:
    probe = MemoryProbe()

    async def run() -> None:
        async with Supervisor([probe], interval=INTERVAL) as agent:
            await agent.read_once()
            first = agent.snapshot()
            await until(lambda: agent.snapshot().probes[0].reads >= 3)
            assert first.probes[0].reads == 1  # a snapshot does not change under its reader
            family = first.family("test_reads_total")
            assert family is not None
            assert family.samples == {(): 1.0}
            assert first.probes[0].losses == {"full": 7}

    asyncio.run(run())


def test_one_that_cannot_be_attached_does_not_hold_up_the_others() -> None:
    bad, good = MemoryProbe("bad"), MemoryProbe("good")
    bad.fail_open = NotFoundError("there is no tracepoint of that name", hint="look elsewhere")

    async def run() -> None:
        async with Supervisor([bad, good], interval=INTERVAL) as agent:
            await agent.opened()
            assert agent.errors() == [("bad", bad.fail_open)]
            await agent.read_once()
            report = health.report(agent.snapshot(), version="1")
            assert (report["status"], report["up"]) == ("failing", 1)
            probes = report["probes"]
            assert isinstance(probes, dict)
            assert probes["bad"]["reason"] == (
                "there is no tracepoint of that name (look elsewhere)"
            )
            assert probes["good"]["up"]
        assert agent.snapshot().probes[0].phase is Phase.FAILED

    asyncio.run(run())
    assert (bad.reads, good.closed) == (0, 1)


def test_a_read_that_fails_is_said_and_tried_again() -> None:
    probe = MemoryProbe()

    async def run() -> None:
        async with Supervisor([probe], interval=INTERVAL) as agent:
            await agent.read_once()
            probe.fail_collect = OSError("no such map")
            await until(lambda: agent.snapshot().probes[0].read_errors >= 2)
            reason = agent.snapshot().probes[0].reason(agent.snapshot().time)
            assert reason.startswith("reading it failed: unexpected OSError at agent_support.py:")
            assert reason.endswith("no such map")
            probe.fail_collect = None
            await until(lambda: agent.snapshot().healthy)

    asyncio.run(run())


def test_a_link_that_vanished_is_the_reason() -> None:
    probe = MemoryProbe()

    async def run() -> None:
        async with Supervisor([probe], interval=INTERVAL) as agent:
            await agent.read_once()
            probe.problem = "the link is gone"
            await until(lambda: not agent.snapshot().healthy)
            snapshot = agent.snapshot()
            assert snapshot.probes[0].reason(snapshot.time) == "the link is gone"

    asyncio.run(run())


def test_a_stuck_reader_is_noticed_and_stops_only_its_own_probe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervisor, "CLOSE_TIMEOUT", 0.05)
    stuck, other = MemoryProbe("stuck"), MemoryProbe("other")

    async def run() -> None:
        async with Supervisor([stuck, other], interval=INTERVAL) as agent:
            await agent.read_once()
            stuck.go_on.clear()
            await until(lambda: not agent.snapshot().healthy)
            snapshot = agent.snapshot()
            assert "it was last read" in snapshot.probes[0].reason(snapshot.time)
            before = other.reads
            await until(lambda: other.reads > before + 3)
            assert await agent.close() == ["stuck"]
            assert agent.snapshot().probes[0].problem == "it did not stop within 0.05 s"
        # Let the thread go: a daemon in real life, but a leak for this test process.
        stuck.go_on.set()
        await until(lambda: stuck.closed == 1)

    asyncio.run(run())
    assert other.closed == 1


def test_a_probe_stuck_in_its_first_read_is_not_healthy() -> None:
    probe = MemoryProbe()
    probe.go_on.clear()

    async def run() -> None:
        async with Supervisor([probe], interval=INTERVAL) as agent:
            await agent.opened()
            await until(probe.entered.is_set)
            snapshot = agent.snapshot()
            assert snapshot.probes[0].reason(snapshot.time) == "it has not been read yet"
            probe.go_on.set()

    asyncio.run(run())


def test_a_reader_that_died_is_not_healthy() -> None:
    probe = MemoryProbe()

    async def run() -> None:
        async with Supervisor([probe], interval=INTERVAL) as agent:
            await agent.read_once()
            (task,) = (t for t in asyncio.all_tasks() if t.get_name() == "keep memory")
            task.cancel("as a bug might")
            await until(lambda: not agent.snapshot().healthy)

    asyncio.run(run())
    assert probe.closed == 1


def test_a_close_that_fails_is_said_and_the_others_are_closed() -> None:
    bad, good = MemoryProbe("bad"), MemoryProbe("good")
    bad.fail_close = RuntimeError("no")

    async def run() -> Supervisor:
        async with Supervisor([bad, good], interval=INTERVAL) as agent:
            await agent.read_once()
        return agent

    statuses = asyncio.run(run()).snapshot().probes
    assert "closing it failed" in statuses[0].problem
    assert (statuses[1].problem, good.closed) == ("", 1)


def test_closing_before_anything_was_opened() -> None:
    probe = MemoryProbe()

    async def run() -> None:
        async with Supervisor([probe], interval=INTERVAL):
            pass

    asyncio.run(run())
    assert probe.closed == 1  # opening may have been under way


def test_two_probes_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="share a name"):
        Supervisor([MemoryProbe(), MemoryProbe()], interval=1)
