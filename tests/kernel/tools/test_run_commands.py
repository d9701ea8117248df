"""The tools as commands: signals, pipes, intervals, JSON, and nothing left in the kernel."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time

import pytest

from skep.kernel import bpf

SKEP = [sys.executable, "-c", "from skep.cli import main; main()"]
TOOLS = [["runqlat"], ["syscount"], ["execsnoop"], ["funclatency", "c:malloc"]]


def programs() -> set[int]:
    """Ids of the programs in the kernel."""
    found: set[int] = set()
    number = bpf.next_id("prog", 0)
    while number is not None:
        found.add(number)
        number = bpf.next_id("prog", number)
    return found


def started(*arguments: str, known: set[int]) -> subprocess.Popen[str]:
    """Start a tool and wait until it has programs in the kernel."""
    process = subprocess.Popen(
        [*SKEP, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    end = time.monotonic() + 20
    while not mine(process, known) and time.monotonic() < end and process.poll() is None:
        time.sleep(0.02)
    return process


def mine(process: subprocess.Popen[str], known: set[int]) -> bool:
    """Whether *process* holds a link of a program that was not there before."""
    try:
        held = [
            os.readlink(f"/proc/{process.pid}/fd/{number}")
            for number in os.listdir(f"/proc/{process.pid}/fd")
        ]
    except OSError:
        return False
    links = sum("bpf" in one and "link" in one for one in held)
    return links >= 1 and bool(programs() - known)


@pytest.mark.parametrize("arguments", TOOLS, ids=[tool[0] for tool in TOOLS])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_prints_the_summary(arguments: list[str], number: int) -> None:
    """Status 0, the results so far, no word on standard error, and nothing left behind."""
    known = programs()
    with started(*arguments, known=known) as process:
        time.sleep(0.3)
        process.send_signal(number)
        output, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert errors == ""
    assert output.strip()
    assert "Traceback" not in output
    # Only what another process loaded meanwhile may be new.
    assert not mine(process, known)


def test_killed_outright_leaves_nothing() -> None:
    """After SIGKILL the kernel lets go of every program: none is pinned."""
    known = programs()
    with started("runqlat", known=known) as process:
        process.kill()
        process.communicate()
    end = time.monotonic() + 10
    while (left := named("woken", "created", "switched") - known) and time.monotonic() < end:
        time.sleep(0.05)
    assert not left


def named(*names: str) -> set[int]:
    """Ids of the programs that have one of *names*."""
    found = set()
    for number in programs():
        try:
            with bpf.fd_by_id("prog", number) as fd:
                if bpf.prog_info(fd).name in names:
                    found.add(number)
        except OSError:
            continue  # gone meanwhile
    return found


@pytest.mark.parametrize(
    "arguments", [["runqlat", "0.2", "3"], ["syscount", "-i", "0.2", "-d", "0.6"]]
)
def test_intervals(arguments: list[str]) -> None:
    """As many JSON documents as intervals, each for its own time, each valid."""
    began = time.monotonic()
    done = subprocess.run(
        [*SKEP, *arguments, "-o", "json"], check=True, capture_output=True, text=True
    )
    assert time.monotonic() - began >= 0.6
    documents = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(documents) == 3
    assert done.stderr == ""
    for document in documents:
        assert document["tool"] == arguments[0]
        assert document["seconds"] == pytest.approx(0.2, abs=0.15)
        assert document["lost"] == {}
    assert sum(document["seconds"] for document in documents) == pytest.approx(0.6, abs=0.1)


def test_events_as_json() -> None:
    """One object a line, for programs that ran while it was watching."""
    known = programs()
    with started("execsnoop", "-o", "json", "-P", str(os.getpid()), known=known) as process:
        time.sleep(0.3)
        children = [subprocess.Popen(["true"]) for _ in range(5)]
        for child in children:
            child.wait()
        time.sleep(0.2)
        process.terminate()
        output, _ = process.communicate(timeout=20)
    rows = [json.loads(line) for line in output.splitlines()]
    assert {row["pid"] for row in rows if row["event"] == "exit"} == {one.pid for one in children}
    assert {row["event"] for row in rows} == {"exec", "exit"}


@pytest.mark.parametrize("arguments", [["runqlat", "0.1"], ["execsnoop"]])
def test_a_reader_that_leaves(arguments: list[str]) -> None:
    """A closed pipe ends the tool quietly."""
    with subprocess.Popen(
        [*SKEP, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        end = time.monotonic() + 20
        while process.poll() is None and time.monotonic() < end:
            subprocess.run(["true"], check=True)  # something for execsnoop to write
            time.sleep(0.02)
        assert process.returncode == 0
        assert process.stderr.read() == ""


def test_a_full_disk() -> None:
    """One sentence and status 1."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*SKEP, "syscount", "-d", "0.2"],
            check=False, stdout=full, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "skep: cannot write the output: No space left on device\n"


def on_a_terminal(*arguments: str, width: int = 100) -> str:
    """What a terminal would have received; ended by Ctrl-C on that terminal."""
    child, terminal = pty.fork()
    if child == 0:  # pragma: no cover - the other process
        os.environ.update(TERM="xterm-256color", COLUMNS=str(width))
        os.execv(SKEP[0], [*SKEP, *arguments])
    received = b""
    stopped = False
    end = time.monotonic() + 20
    try:
        while time.monotonic() < end:
            if select.select([terminal], [], [], 0.2)[0]:
                try:
                    received += os.read(terminal, 65536)
                except OSError:
                    break  # the child has gone
            elif not stopped and b"Ctrl-C" in received:
                time.sleep(0.3)
                os.write(terminal, b"\x03")
                stopped = True
    finally:
        os.close(terminal)
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    return received.decode()


def test_on_a_terminal() -> None:
    """Bars, colours, a summary after Ctrl-C, no line longer than the terminal is wide."""
    text = on_a_terminal("runqlat")
    assert "Tracing run queue latency" in text
    assert "█" in text
    assert "\x1b[3" in text
    assert "values" in text
    assert "p99" in text
    assert "Traceback" not in text


def test_columns_when_piped() -> None:
    """No colours, no bars of blocks: what bcc's users' scripts expect."""
    done = subprocess.run(
        [*SKEP, "runqlat", "-d", "0.3"], check=True, capture_output=True, text=True
    )
    assert "\x1b" not in done.stdout
    assert "usecs" in done.stdout
    assert ": count    distribution" in done.stdout
    assert "|***" in done.stdout


def test_btf_dump_is_that_of_the_kernel() -> None:
    """A header for C, and as many lines of types as there are."""
    header = subprocess.run([*SKEP, "btf", "dump"], check=True, capture_output=True, text=True)
    assert header.stdout.startswith("#ifndef __VMLINUX_H__")
    assert "struct task_struct {" in header.stdout
    raw = subprocess.run(
        [*SKEP, "btf", "dump", "--format", "raw"], check=True, capture_output=True, text=True
    )
    assert "STRUCT 'task_struct' size=" in raw.stdout
