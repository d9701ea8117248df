"""The skep side of ``peers/consume.c``: the same protocol, columns instead of callbacks."""

from __future__ import annotations

import signal
import sys
import time

import skep


def main() -> None:
    """Print the producer's id, read until SIGTERM, print ``events sum cpu_ns``."""
    events = total = 0
    stop = False

    def on_signal(*_: object) -> None:
        nonlocal stop
        stop = True

    signal.signal(signal.SIGTERM, on_signal)
    with (
        skep.ObjectSpec.from_file(sys.argv[1]).load() as obj,
        obj.maps["events"].stream() as stream,
    ):
        stream.read(timeout=0)  # the first drain imports NumPy; that is start-up, not consuming
        print(obj.programs["produce"].info.id, flush=True)
        start = time.process_time_ns()
        while True:
            last = stop  # looked at before the read: nothing sent before the signal is missed
            batch = stream.read(timeout=0.1)
            events += len(batch)
            total += int(batch["value"].sum())
            if last and not len(batch):
                break
        spent = time.process_time_ns() - start
        print(events, total, spent)


if __name__ == "__main__":
    main()
