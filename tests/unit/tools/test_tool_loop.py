"""The loop: schedules, and stopping by a signal at any moment."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from skep.errors import RangeError
from skep.tools.loop import Schedule
from skep.tools.stop import Stop


def due(schedule: Schedule) -> list[float | None]:
    """Every output's time."""
    times = []
    done, last = 0, False
    while not last and done < 20:
        when, last = schedule.next(done)
        times.append(when)
        done += 1
    return times


def test_schedules() -> None:
    """Once, every interval, so many times, until the duration is over."""
    assert Schedule().next(0) == (None, False)
    assert due(Schedule(interval=2, count=3)) == [2, 4, 6]
    assert due(Schedule(duration=5)) == [5]
    assert due(Schedule(interval=2, duration=5)) == [2, 4, 5]
    assert due(Schedule(interval=2, duration=4)) == [2, 4]
    assert due(Schedule(interval=9, duration=4)) == [4]
    assert due(Schedule(interval=1, count=2, duration=9)) == [1, 2]


def test_count_needs_an_interval() -> None:
    """A number of outputs of nothing is a mistake."""
    with pytest.raises(RangeError, match="needs an interval"):
        Schedule(count=3)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stop(number: int) -> None:
    """A signal ends the wait, and handlers are as before afterwards."""
    before = signal.getsignal(number)
    with Stop() as stop:
        assert stop.wait(0.0) is False
        timer = threading.Timer(0.05, os.kill, (os.getpid(), number))
        timer.start()
        began = time.monotonic()
        assert stop.wait(30) is True
        assert time.monotonic() - began < 10
        timer.join()
        # The second one is not held back any more.
        assert signal.getsignal(number) == before
        assert stop.wait(30) is True
    assert signal.getsignal(number) == before


def test_a_signal_before_the_wait_counts() -> None:
    """There is no moment at which it would be missed."""
    with Stop() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wait(None) is True


def test_a_descriptor_ends_the_wait() -> None:
    """Readable means something to do, not the end."""
    reader, writer = os.pipe()
    try:
        with Stop() as stop:
            os.write(writer, b"x")
            assert stop.wait(30, reader) is False
    finally:
        os.close(reader)
        os.close(writer)
