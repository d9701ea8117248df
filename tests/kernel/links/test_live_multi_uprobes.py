"""uprobe_multi: many places in one link, cookies for each, returns, sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from links_support import Counter, Target
from needs import need

from skep.elf.binary import Binary
from skep.errors import AttachError, NotFoundError, RangeError
from skep.kernel.constants import AttachType, ProgramType
from skep.links import attach, uprobe_multi

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def target(target_path: Path) -> Iterator[Target]:
    with Target(target_path) as target:
        yield target


@pytest.fixture
def counter() -> Iterator[Counter]:
    need("uprobe_multi")
    with Counter(ProgramType.KPROBE, expected_attach_type=AttachType.TRACE_UPROBE_MULTI) as counter:
        yield counter


def session(result: int) -> Counter:
    need("uprobe_session")
    return Counter(
        ProgramType.KPROBE,
        expected_attach_type=AttachType.TRACE_UPROBE_SESSION,
        result=result,
        section="uprobe.session",
    )


def test_each_place_has_its_cookie(counter: Counter, target: Target, target_path: Path) -> None:
    with uprobe_multi(
        counter, str(target_path), symbols=["pushes", "leaf", "hidden"], cookies=[1, 100, 10_000]
    ) as link:
        target.call("pushes", 5)
        target.call("leaf", 6)
        target.call("hidden", 7)
        target.call("two_exits", 2)  # one of them calls leaf
        info = link.info
    target.call("leaf", 10)
    seen = counter.seen()
    assert seen.runs == 5 + 6 + 7 + 1
    assert seen.cookies == 5 + 7 * 100 + 7 * 10_000
    assert info.kind == "uprobe_multi"
    assert info.cookies == (1, 100, 10_000)
    assert len(info.offsets) == 3
    assert info.target.startswith(f"{target_path}:pushes")
    assert info.target.endswith("and 2 more")
    assert info.program_id == counter.id


def test_patterns_take_every_function_that_matches(
    counter: Counter, target: Target, target_path: Path
) -> None:
    with uprobe_multi(counter, str(target_path), symbols=["pu?hes", "hid*"]) as link:
        for function in ("pushes", "hidden", "leaf"):
            target.call(function, 4)
    assert len(link.offsets) == 2
    assert counter.seen().runs == 8


def test_by_file_offset(counter: Counter, target: Target, target_path: Path) -> None:
    with Binary(str(target_path)) as elf:
        offsets = [elf.symbol_offset(name).file_offset for name in ("pushes", "leaf")]
    with uprobe_multi(counter, str(target_path), offsets=offsets) as link:
        target.call("pushes", 4)
        target.call("leaf", 4)
    assert link.offsets == tuple(offsets)
    assert counter.seen().runs == 8


def test_on_return(counter: Counter, target: Target, target_path: Path) -> None:
    with uprobe_multi(
        counter, str(target_path), symbols=["two_exits", "recursive"], retprobe=True
    ) as link:
        target.call("two_exits", 10)
        target.call("recursive", 10)
    assert link.kind == "uretprobe_multi"
    assert counter.seen().runs == 20


def test_only_the_given_process(counter: Counter, target_path: Path) -> None:
    need("uprobe_multi_pid")
    with Target(target_path) as one, Target(target_path) as two:
        with uprobe_multi(counter, str(target_path), symbols=["leaf"], pid=two.pid):
            one.call("leaf", 100)
            two.call("leaf", 3)
        assert counter.seen()[:3] == (3, 0, two.pid)


def test_every_thread_of_the_given_process(
    counter: Counter, target: Target, target_path: Path
) -> None:
    need("uprobe_multi_pid")
    with uprobe_multi(counter, target_path, symbols=["leaf"], pid=target.pid):
        target.call("thread", 5)
        target.call("leaf", 1)
    assert counter.seen()[:3] == (6, 0, target.pid)


def test_a_session_runs_at_entry_and_at_return(target: Target, target_path: Path) -> None:
    with session(0) as counter:
        with uprobe_multi(
            counter, str(target_path), symbols=["pushes", "leaf"], session=True, cookies=[3, 5]
        ) as link:
            target.call("pushes", 10)
            target.call("leaf", 1)
        assert link.kind == "uprobe_session"
        assert counter.seen().runs == 22
        assert counter.seen().cookies == 20 * 3 + 2 * 5


def test_a_session_may_decline_the_return(target: Target, target_path: Path) -> None:
    with session(1) as counter:
        with uprobe_multi(counter, str(target_path), symbols=["pushes"], session=True):
            target.call("pushes", 10)
        assert counter.seen().runs == 10


def test_attached_from_the_section_name(
    counter: Counter, target: Target, target_path: Path
) -> None:
    for prefix, kind, times in (
        ("uprobe.multi", "uprobe_multi", 14),
        ("uretprobe.multi", "uretprobe_multi", 14),
    ):
        counter.section = f"{prefix}/{target_path}:two_*"
        counter.reset()
        with attach(counter) as link:
            target.call("two_exits", times)
        assert link.kind == kind
        assert counter.seen().runs == times
    with session(0) as both:
        both.section = f"uprobe.session/{target_path}:leaf"
        with attach(both):
            target.call("leaf", 3)
        assert both.seen().runs == 6


def test_what_is_wrong_is_said(counter: Counter, target_path: Path) -> None:
    path = str(target_path)
    with pytest.raises(NotFoundError, match=r"program 'count'.*zzz"):
        uprobe_multi(counter, path, symbols=["zzz*"])
    with pytest.raises(NotFoundError, match="pushes"):
        uprobe_multi(counter, path, symbols=["leaf", "pushs"])
    with pytest.raises(NotFoundError, match="no symbol"):
        uprobe_multi(counter, path)
    with pytest.raises(RangeError, match="2 places, but 1 cookies"):
        uprobe_multi(counter, path, symbols=["leaf", "pushes"], cookies=[1])
    with pytest.raises(AttachError, match=r"uprobe\.session"):
        uprobe_multi(counter, path, symbols=["leaf"], session=True)
    with Target(target_path) as target:
        pass
    with pytest.raises(NotFoundError, match=str(target.pid)):
        uprobe_multi(counter, path, symbols=["leaf"], pid=target.pid)
    with (
        Counter(ProgramType.KPROBE, section="uprobe") as single,
        pytest.raises(AttachError, match=r"uprobe\.multi"),
    ):
        uprobe_multi(single, path, symbols=["leaf"])
