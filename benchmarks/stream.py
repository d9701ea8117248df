"""Processor time of a ring-buffer consumer at an even 1 000 000 events of 48 bytes a second."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
from typing import TYPE_CHECKING

from benchmarks.measure import HERE, PYTHON, Row, build_object, build_peer

if TYPE_CHECKING:
    from collections.abc import Sequence

RATE = 1_000_000
SECONDS = 2


def consume(command: Sequence[str], producer: str) -> tuple[float, float]:
    """Run one consumer against one producer; return (CPU percent, events lost)."""
    consumer = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {0}),  # noqa: PLW1509 - no threads here
    )
    with consumer:
        assert consumer.stdout is not None
        program = consumer.stdout.readline().strip()
        sent = subprocess.run(
            ["taskset", "-c", "1", producer, program, str(RATE), str(SECONDS)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        consumer.send_signal(signal.SIGTERM)
        events, _, cpu = map(int, consumer.stdout.read().split())
    return cpu / (SECONDS * 1e9) * 100, int(sent) - events


def run(rounds: int = 5) -> list[Row]:
    """Return one row against each of the two C consumers."""
    path = build_object("produce")
    producer, peer = build_peer("produce"), build_peer("consume")
    commands = {
        "skep": [*PYTHON, str(HERE / "consumers" / "stream.py"), path],
        "epoll": [peer, path, "epoll"],
        "tick": [peer, path, "tick"],
    }
    cpu: dict[str, list[float]] = {name: [] for name in commands}
    lost = dict.fromkeys(commands, 0.0)
    for _ in range(rounds):
        for name, command in commands.items():
            percent, missing = consume(command, producer)
            cpu[name].append(percent)
            lost[name] += missing
    medians = {name: statistics.median(values) for name, values in cpu.items()}
    note = "lost " + ", ".join(f"{name} {count:.0f}" for name, count in lost.items())
    case = f"consume {RATE:,}/s".replace(",", " ")
    return [
        Row(case, "libbpf in C, epoll", medians["skep"], medians["epoll"], "% CPU", 0.2, note),
        Row(case, "libbpf in C, 5 ms tick", medians["skep"], medians["tick"], "% CPU", 2.7),
    ]
