"""What every test may rely on: a compiler, the rule about skips, and the leak check."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import compiling
import pytest
from needs import justified

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from compiling import CompileBpf, CompileC

HERE = Path(__file__).parent
# Run only when named on the command line: tests/vm is for kernels that a make test may not meet
# (it is run in guests), tests/vm_runner boots guests.
ON_DEMAND = (HERE / "vm", HERE / "vm_runner")


@pytest.fixture(scope="session")
def compile_bpf() -> CompileBpf:
    """Compile BPF C given as text with the pinned compiler; each text once (`compiling`)."""

    def compile_bpf(source: str, *, target: str = "bpfel", compiler: str = "ziglang") -> Path:
        return compiling.bpf(source, target, compiler)

    return compile_bpf


@pytest.fixture(scope="session")
def compile_c() -> CompileC:
    """Compile C given as text for this machine; each text once (`compiling`)."""
    return compiling.c


def pytest_sessionstart() -> None:
    """Keep the cache of compiled programs small, and what tests look up out of the user's cache."""
    compiling.prune()
    os.environ["SKEP_CACHE"] = "off"  # tests of the index say where it is kept


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out what runs only when it is named."""
    if collection_path not in ON_DEMAND:
        return None
    named = [Path(argument.partition("::")[0]).resolve() for argument in config.args]
    wanted = any(path.is_relative_to(collection_path) for path in named)
    return None if wanted else True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where everything must run (``SKEP_NO_SKIP=1``).

    In a guest too, unless the reason is one of `needs`.
    """
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if os.environ.get("SKEP_NO_SKIP"):
            report.outcome = "failed"
            report.longrepr = f"skipped although SKEP_NO_SKIP is set: {reason}"
        elif "SKEP_GUEST" in os.environ and not justified(reason):
            report.outcome = "failed"
            report.longrepr = f"skipped in a guest, for no reason of tests/needs.py: {reason}"
    return report


def _descriptors() -> dict[str, str]:
    """Return what every open descriptor of this process refers to, by number."""
    found = {}
    for number in os.listdir("/proc/self/fd"):
        try:
            found[number] = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue  # the descriptor listdir itself used
    return found


def _mappings() -> int:
    """Count the mappings of BPF maps and perf rings in this process."""
    with open("/proc/self/maps") as lines:
        return sum("bpf" in line or "perf_event" in line for line in lines)


def _children() -> set[str]:
    """Return the processes that this process started and did not wait for."""
    with open(f"/proc/self/task/{os.getpid()}/children") as children:
        return set(children.read().split())


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    """Fail the test that leaves a descriptor, mapping, thread or child behind."""
    descriptors, mappings = _descriptors(), _mappings()
    threads, children = set(threading.enumerate()), _children()

    def left() -> list[str]:
        found = [w for n, w in _descriptors().items() if descriptors.get(n) != w]
        found += [f"{_mappings() - mappings} mappings"] if _mappings() > mappings else []
        found += [str(thread) for thread in set(threading.enumerate()) - threads]
        return found + [f"process {child}" for child in _children() - children]

    yield
    if left():
        gc.collect()  # what hangs in a cycle is not a leak, but a ResourceWarning if it is ours
    assert not left(), f"left behind: {left()}"
