"""What every test may rely on: a compiler, the rule about skips, and the leak check."""

from __future__ import annotations

import gc
import hashlib
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from skep.build.compiler import compile as compile_source

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

ROOT = Path(__file__).parent.parent
CACHE = ROOT / ".cache" / "bpf"


class CompileBpf(Protocol):
    """The type of the `compile_bpf` fixture."""

    def __call__(self, source: str, *, target: str = ..., compiler: str = ...) -> Path:
        """Compile C *source* text and return the object's path."""


@pytest.fixture(scope="session")
def compile_bpf() -> CompileBpf:
    """Compile BPF C given as text with the pinned compiler.

    Objects are kept in the checkout's cache under a digest of the text and the headers, so that
    guests, which have no compiler, find what the host built.
    """
    headers = hashlib.sha256()
    for header in sorted((ROOT / "src" / "skep" / "include").rglob("*.h")):
        headers.update(header.read_bytes())

    def compile_bpf(source: str, *, target: str = "bpfel", compiler: str = "ziglang") -> Path:
        key = f"{headers.hexdigest()} {target} {compiler}\n{source}"
        output = CACHE / f"{hashlib.sha256(key.encode()).hexdigest()[:20]}.bpf.o"
        if not output.exists():
            CACHE.mkdir(parents=True, exist_ok=True)
            text = output.with_suffix(".c")
            text.write_text(source)
            compile_source(str(text), str(output), target=target, compiler=compiler)
        return output

    return compile_bpf


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where everything must run (``SKEP_NO_SKIP=1``)."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("SKEP_NO_SKIP"):
        report.outcome = "failed"
        report.longrepr = f"skipped although SKEP_NO_SKIP is set: {report.longrepr}"
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
    yield
    gc.collect()
    leaked = {n: what for n, what in _descriptors().items() if descriptors.get(n) != what}
    assert not leaked, f"descriptors left open: {leaked}"
    assert _mappings() <= mappings, "mappings left behind"
    assert set(threading.enumerate()) <= threads, "threads left running"
    assert _children() <= children, "children left behind"
