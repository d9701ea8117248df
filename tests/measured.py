"""Run one piece of work in a process of its own and measure it: time and memory.

The process gets at most 1 GiB of addresses: what goes wrong does not take the machine along.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parent.parent
MAX_SECONDS = 10.0  # machines differ; what is not bounded takes minutes
MAX_MEMORY = 256 << 20
_ADDRESSES = 1 << 30

# What the process does: the input comes on standard input, the numbers go out on the last line.
_WORK = """\
import resource, sys, time
resource.setrlimit(resource.RLIMIT_AS, (%(addresses)d, %(addresses)d))
data = sys.stdin.buffer.read()
from %(module)s import %(name)s as work
from skep.errors import SkepError
start = time.process_time()
try:
    answer = work(data)
except SkepError as error:
    answer = f"{type(error).__name__}: {error}"
print(str(answer)[:400].encode("ascii", "replace").decode().replace("\\n", " "))
seconds = time.process_time() - start
# Not ru_maxrss, which starts with that of the parent.
with open("/proc/self/status") as lines:
    peak = next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))
print(seconds, peak)
"""


class Measured:
    """What a piece of work said, the CPU seconds it took and the most memory it had, in bytes."""

    def __init__(self, answer: str, seconds: float, memory: int) -> None:
        self.answer = answer
        self.seconds = seconds
        self.memory = memory

    def __repr__(self) -> str:
        return f"<{self.answer}: {self.seconds:.2f} s, {self.memory >> 20} MiB>"


def measured(work: Callable[[bytes], object], data: bytes) -> Measured:
    """Call *work*, a function of a test module or of `fuzz.targets`, with *data*.

    Fails when anything but a `SkepError` comes out of it.
    """
    module = work.__module__
    path = [str(ROOT), str(ROOT / "tests"), os.path.dirname(str(sys.modules[module].__file__))]
    program = _WORK % {"addresses": _ADDRESSES, "module": module, "name": work.__name__}
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=data,
        capture_output=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
    )
    assert done.returncode == 0, done.stderr.decode()[-4000:]
    *said, numbers = done.stdout.decode().splitlines()
    seconds, memory = numbers.split()
    return Measured("\n".join(said), float(seconds), int(memory))


def bounded(work: Callable[[bytes], object], data: bytes) -> str:
    """Measure *work* on *data*, fail when it exceeds the promised bounds, return what it said."""
    assert len(data) <= 1 << 20, f"an input of {len(data)} bytes is larger than the promise"
    found = measured(work, data)
    assert found.memory <= MAX_MEMORY, found
    assert found.seconds <= MAX_SECONDS, found
    return found.answer
