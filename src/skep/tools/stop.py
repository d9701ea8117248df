"""Ending on Ctrl-C or SIGTERM in an orderly way: finish, print the summary, detach."""

from __future__ import annotations

import os
import select
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Inside ``with``, the first SIGINT or SIGTERM is remembered instead of ending the process.

    A second one does what it did before, so a summary that hangs can be interrupted. For the
    main thread, the only one in which Python runs signal handlers.
    """

    def __init__(self) -> None:
        self.asked = False
        self._pipe: tuple[int, int] | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        # A pipe, not a flag alone: a signal that comes just before poll() must still end it.
        self._pipe = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        for number in SIGNALS:
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()
        if self._pipe is not None:
            for number in self._pipe:
                os.close(number)
            self._pipe = None

    def _restore(self) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        self._before.clear()

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True
        self._restore()
        if self._pipe is not None:
            os.write(self._pipe[1], b"!")

    def wait(self, seconds: float | None, *descriptors: int) -> bool:
        """Wait until stopped, a descriptor is readable or *seconds* are over (None: for ever).

        Return whether stopped.
        """
        if self.asked or self._pipe is None:
            return True
        poll = select.poll()
        for number in (self._pipe[0], *descriptors):
            poll.register(number, select.POLLIN)
        poll.poll(None if seconds is None else max(0.0, seconds * 1000))
        return self.asked
