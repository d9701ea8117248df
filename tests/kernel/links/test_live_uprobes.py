"""Uprobes on small C programs: every call counted, at the place that was chosen."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from links_support import Counter, Target

from skep.elf.binary import Binary
from skep.errors import AttachError, ElfError, NotFoundError, RangeError, SkepError
from skep.kernel.constants import AttachType, ProgramType
from skep.kernel.syscall import machine
from skep.links import attach, uprobe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

on_x86 = pytest.mark.skipif(machine != "x86_64", reason="endbr64 is an x86-64 instruction")


@pytest.fixture
def target(target_path: Path) -> Iterator[Target]:
    with Target(target_path) as target:
        yield target


@pytest.fixture
def counter() -> Iterator[Counter]:
    with Counter(ProgramType.KPROBE, section="uprobe") as counter:
        yield counter


FUNCTIONS = ["pushes", "leaf", "hidden", "two_exits", "backward", "recursive"]


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("retprobe", [False, True])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_call_is_counted_once(
    counter: Counter, target: Target, target_path: Path, function: str, retprobe: bool, exact: bool
) -> None:
    times = 50  # below the 64 nested return probes that the kernel follows (recursive)
    target.call(function, 3)
    with uprobe(counter, str(target_path), symbol=function, retprobe=retprobe, exact=exact) as link:
        target.call(function, times)
    target.call(function, 3)
    seen = counter.seen()
    assert seen.runs == times
    assert seen.pid == target.pid
    assert link.target.startswith(f"{target_path}:{function}")
    assert link.kind == ("uretprobe" if retprobe else "uprobe")


@on_x86
def test_entry_probes_are_placed_on_a_cheap_instruction(
    counter: Counter, target_path: Path
) -> None:
    def distance(function: str) -> int:
        path = str(target_path)
        with (
            uprobe(counter, path, symbol=function) as cheap,
            uprobe(counter, path, symbol=function, exact=True) as exact,
        ):
            assert exact.target == f"{path}:{function}"
            return cheap.offsets[0] - exact.offsets[0]

    assert distance("pushes") == 4  # endbr64, push
    assert distance("leaf") == 0  # endbr64, then something that must be single-stepped
    assert distance("backward") == 0  # the push is where the loop comes back to


@on_x86
def test_the_cheap_place_is_named_in_the_link(counter: Counter, target_path: Path) -> None:
    with uprobe(counter, str(target_path), symbol="pushes") as link:
        assert link.target == f"{target_path}:pushes+0x4"
        with Binary(str(target_path)) as elf:
            assert link.offsets == (elf.symbol_offset("pushes").file_offset + 4,)


def test_only_the_given_process_is_probed(counter: Counter, target_path: Path) -> None:
    with Target(target_path) as one, Target(target_path) as two:
        with uprobe(counter, str(target_path), symbol="pushes", pid=one.pid) as link:
            one.call("pushes", 7)
            two.call("pushes", 100)
            one.call("fork", 3)  # the children are other processes
            assert link.info.pid == one.pid
        assert counter.seen()[:3] == (7, 0, one.pid)
        counter.reset()
        with uprobe(counter, str(target_path), symbol="pushes") as link:
            one.call("pushes", 7)
            two.call("pushes", 100)
            one.call("fork", 3)
            assert link.info.pid is None
        assert counter.seen().runs == 110


def test_cookies_tell_the_places_of_one_program_apart(
    counter: Counter, target: Target, target_path: Path
) -> None:
    path = str(target_path)
    with (
        uprobe(counter, path, symbol="pushes", cookie=1),
        uprobe(counter, path, symbol="leaf", cookie=1000) as link,
        uprobe(counter, path, symbol="two_exits", retprobe=True, cookie=10**6),
    ):
        assert link.info.cookies == (1000,)
        target.call("pushes", 5)
        target.call("leaf", 4)
        target.call("two_exits", 8)  # half of them call leaf
    seen = counter.seen()
    assert seen.runs == 5 + 4 + 8 + 4
    assert seen.cookies == 5 * 1 + (4 + 4) * 1000 + 8 * 10**6


def test_by_file_offset_by_address_and_by_offset_in_a_symbol(
    counter: Counter, target: Target, target_path: Path
) -> None:
    path = str(target_path)
    with Binary(path) as elf:
        hit = elf.symbol_offset("pushes")
    for where in (
        {"offset": hit.file_offset},
        {"address": hit.address},
        {"symbol": "pushes", "exact": True},
    ):
        counter.reset()
        with uprobe(counter, path, **where) as link:
            target.call("pushes", 9)
        assert link.offsets == (hit.file_offset,)
        assert counter.seen().runs == 9
    if machine == "x86_64":
        with uprobe(counter, path, symbol="pushes", offset=4) as link:
            assert link.offsets == (hit.file_offset + 4,)


def test_a_library_by_its_name(counter: Counter) -> None:
    for name in ("c", "libc.so.6"):
        counter.reset()
        with uprobe(counter, name, symbol="getppid", pid=os.getpid()) as link:
            for _ in range(25):
                os.getppid()
        assert counter.seen().runs == 25
        assert "libc" in link.target


def test_a_program_in_the_path(
    counter: Counter, target_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(target_path.parent), prepend=os.pathsep)
    with Target(target_path) as target, uprobe(counter, "target", symbol="leaf"):
        target.call("leaf", 6)
    assert counter.seen().runs == 6


def test_a_semaphore_is_raised_while_attached(
    counter: Counter, target: Target, target_path: Path
) -> None:
    path = str(target_path)
    with Binary(path) as elf:
        where = elf.file_offset(target.call("where"))
    assert target.call("semaphore") == 0
    with uprobe(counter, path, symbol="leaf", ref_counter=where):
        # Once for each mapping of the page with the probe: linkers let segments share a page.
        assert target.call("semaphore") >= 1
    assert target.call("semaphore") == 0


def test_attached_from_the_section_name(target: Target, target_path: Path) -> None:
    sections = {
        f"uprobe/{target_path}:leaf": ("uprobe", 11),
        f"uretprobe/{target_path}:leaf": ("uretprobe", 11),
        f"uprobe/{target_path}:leaf+0": ("uprobe", 11),
        f"?uprobe/{target_path}:leaf": ("uprobe", 11),
    }
    for section, (kind, times) in sections.items():
        with Counter(ProgramType.KPROBE, section=section) as counter:
            with attach(counter) as link:
                target.call("leaf", times)
            assert link.kind == kind
            assert counter.seen().runs == times


def test_a_return_probe_and_an_entry_probe_of_one_function_together(
    target: Target, target_path: Path
) -> None:
    with Counter(ProgramType.KPROBE) as entry, Counter(ProgramType.KPROBE) as leave:
        with (
            uprobe(entry, str(target_path), symbol="two_exits"),
            uprobe(leave, str(target_path), symbol="two_exits", retprobe=True),
        ):
            before = target.call("two_exits", 0)
            # What it returns is right: the return address was found where it lies.
            assert target.call("two_exits", 33) - before == sum(
                n * 3 + 1 if n & 1 else n - 1 for n in range(33)
            )
        assert (entry.seen().runs, leave.seen().runs) == (33, 33)


def test_a_process_started_after_the_probe_is_probed(counter: Counter, target_path: Path) -> None:
    with uprobe(counter, str(target_path), symbol="pushes"), Target(target_path) as target:
        target.call("pushes", 12)
    assert counter.seen()[:3] == (12, 0, target.pid)


def test_every_thread_of_the_given_process_is_probed(
    counter: Counter, target: Target, target_path: Path
) -> None:
    with uprobe(counter, target_path, symbol="leaf", pid=target.pid):
        target.call("thread", 5)
        target.call("leaf", 1)
    assert counter.seen()[:3] == (6, 0, target.pid)


def test_a_binary_that_only_the_process_can_see(
    counter: Counter, target_path: Path, tmp_path: Path
) -> None:
    """As in a container: another mount namespace, where the path leads elsewhere."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    script = 'mount -t tmpfs none "$1" && cp "$2" "$1/binary" && exec "$1/binary"'
    command = ["unshare", "--mount", "sh", "-c", script, "sh", str(hidden), str(target_path)]
    with Target(*command) as target:
        assert not list(hidden.iterdir())
        with pytest.raises(NotFoundError):
            uprobe(counter, hidden / "binary", symbol="leaf")
        with uprobe(counter, hidden / "binary", symbol="leaf", pid=target.pid) as link:
            target.call("leaf", 8)
        assert link.target.startswith(f"/proc/{target.pid}/root{hidden}/binary:leaf")
        assert counter.seen()[:3] == (8, 0, target.pid)


@on_x86
def test_return_probes_share_the_cheap_place(counter: Counter, target_path: Path) -> None:
    with (
        uprobe(counter, target_path, symbol="pushes") as entry,
        uprobe(counter, target_path, symbol="pushes", retprobe=True) as leave,
    ):
        assert entry.offsets == leave.offsets


def refused(counter: Counter, binary: str, **where: object) -> SkepError:
    with pytest.raises(SkepError) as caught:
        uprobe(counter, binary, **where).close()  # type: ignore[arg-type]
    assert "program 'count'" in str(caught.value)
    assert caught.value.evidence["program"] == "count"
    return caught.value


def test_what_does_not_exist_is_said(
    counter: Counter, target_path: Path, stripped_path: Path
) -> None:
    path = str(target_path)
    error = refused(counter, path, symbol="pushs")
    assert isinstance(error, NotFoundError)
    assert "pushes" in str(error)
    assert path in str(error)

    error = refused(counter, "/no/such/binary", symbol="main")
    assert isinstance(error, NotFoundError)
    assert "/no/such/binary" in str(error)

    error = refused(counter, "no-such-program-anywhere", symbol="main")
    assert isinstance(error, NotFoundError)

    with Target(target_path) as target:
        pass
    error = refused(counter, path, symbol="leaf", pid=target.pid)  # it has just ended
    assert isinstance(error, NotFoundError)
    assert str(target.pid) in str(error)

    error = refused(counter, str(stripped_path), symbol="hidden")
    assert isinstance(error, NotFoundError)
    assert "hidden" in str(error)


def test_a_symbol_in_the_name_of_the_binary_is_recognised(counter: Counter) -> None:
    with pytest.raises(NotFoundError) as caught:
        uprobe(counter, "libc:malloc")
    assert caught.value.hint == "give the function as symbol='malloc'"
    assert "to uprobe libc:malloc: there is no program or library called" in caught.value.message
    with pytest.raises(NotFoundError, match=r"the function as symbol='readline'"):
        uprobe(counter, "/no/bash:readline")
    with pytest.raises(NotFoundError) as caught:
        uprobe(counter, "/no/bash", symbol="readline")
    assert "symbol=" not in caught.value.hint
    with pytest.raises(RangeError, match=r"uprobe libc: no place was given \(give symbol="):
        uprobe(counter, "libc")


def test_what_cannot_be_probed_is_said(counter: Counter, target_path: Path, tmp_path: Path) -> None:
    text = tmp_path / "script"
    text.write_text("#!/bin/sh\nexit 0\n" * 10)
    text.chmod(0o755)
    assert isinstance(refused(counter, str(text), symbol="main"), ElfError)
    assert isinstance(refused(counter, str(tmp_path), symbol="main"), SkepError)

    path = str(target_path)
    assert isinstance(refused(counter, path, symbol="leaf", offset=0x10000), RangeError)
    assert isinstance(refused(counter, path, symbol="leaf", offset=-1), RangeError)
    assert isinstance(refused(counter, path, symbol="leaf", address=4096), RangeError)
    assert isinstance(refused(counter, path, symbol="leaf", pid=0), RangeError)
    error = refused(counter, path, offset=1 << 40)
    assert isinstance(error, NotFoundError)
    assert "0x10000000000" in str(error)


def test_the_wrong_kind_of_program_is_refused(target_path: Path) -> None:
    with (
        Counter(ProgramType.TRACEPOINT, section="tp/a/b") as counter,
        pytest.raises(AttachError, match="uprobe/BINARY:SYMBOL") as caught,
    ):
        uprobe(counter, str(target_path), symbol="leaf")
    assert caught.value.errno == errno.EINVAL
    with (
        Counter(ProgramType.KPROBE, expected_attach_type=AttachType.TRACE_UPROBE_MULTI) as counter,
        pytest.raises(AttachError, match="uprobe/BINARY:SYMBOL"),
    ):
        uprobe(counter, str(target_path), symbol="leaf")


def test_the_interpreter_itself(counter: Counter) -> None:
    path = os.path.realpath(sys.executable)
    with Binary(path) as elf:
        names = {function.name for function in elf.functions()}
    # Distributions strip it; what remains is what it exports, unless a library does that.
    symbol = "main" if "main" in names else "Py_BytesMain"
    assert symbol in names
    with uprobe(counter, path, symbol=symbol):
        subprocess.run([sys.executable, "-S", "-c", ""], check=True)
    assert counter.seen().runs >= 1
