"""`Link` and `Links` without a kernel: ownership, order of closing, what they say."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

import skep.links
from skep.errors import ClosedError, UnsupportedError
from skep.kernel.fd import FD
from skep.links import Link, LinkInfo, Links

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skep.links.attachable import Attachable


class Recorded(FD):
    """A descriptor that writes down when it is closed."""

    __slots__ = ("order", "refuses")

    def __init__(self, order: list[str], what: str, *, refuses: bool = False) -> None:
        read, write = os.pipe()
        os.close(write)
        super().__init__(read, what)
        self.order, self.refuses = order, refuses

    def close(self) -> None:
        if not self.closed:
            self.order.append(self.what.rpartition(" ")[2])
        super().close()
        if self.refuses:
            raise OSError("refused")


PROGRAM = cast("Attachable", SimpleNamespace(name="count"))


def link(order: list[str], target: str, *, refuses: bool = False) -> Link:
    fd = Recorded(order, target, refuses=refuses)
    return Link(fd, PROGRAM, kind="uprobe", target=target, offsets=[8], cookies=[3])


def test_links_close_last_first() -> None:
    order: list[str] = []
    with Links(link(order, name) for name in "abc") as links:
        assert [one.target for one in links] == ["a", "b", "c"]
        assert len(links) == 3
        assert links[-1].target == "c"
        assert [one.target for one in links[:2]] == ["a", "b"]
        assert order == []
    assert order == ["c", "b", "a"]
    assert all(one.closed for one in links)
    links.close()
    assert order == ["c", "b", "a"]


def test_a_failure_halfway_leaves_no_link() -> None:
    order: list[str] = []

    def attach() -> Iterator[Link]:
        yield link(order, "a")
        yield link(order, "b")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Links(attach())
    assert order == ["b", "a"]


def test_one_failing_close_does_not_keep_the_others_open() -> None:
    order: list[str] = []
    names = {"a": False, "b": True, "c": False}
    links = Links(link(order, name, refuses=bad) for name, bad in names.items())
    with pytest.raises(ExceptionGroup) as caught:
        links.close()
    assert len(caught.value.exceptions) == 1
    assert order == ["c", "b", "a"]


def test_a_closed_link_says_which_one_it_was() -> None:
    one = link([], "/bin/x:main")
    one.close()
    one.close()
    for use in (one.fileno, lambda: one.info, lambda: one.pin("/nowhere")):
        with pytest.raises(ClosedError, match="uprobe link of program 'count' to /bin/x:main"):
            use()
    one.detach()
    assert "closed" in repr(one)


def test_a_perf_event_cannot_be_pinned_or_updated() -> None:
    info = SimpleNamespace(id=7)
    with FD(os.open("/dev/null", os.O_RDONLY), "event") as fd:
        one = Link.__new__(Link)
        one._fd, one._ids, one._pinned = fd, (None, info.id), ""
        one.kind, one.program, one.target, one.mechanism = "uprobe", "count", "x:y", "perf_ioctl"
        one.pid, one.cookies, one.offsets = 12, (), (64,)
        with pytest.raises(UnsupportedError, match="cannot be pinned"):
            one.pin("/sys/fs/bpf/x")
        with pytest.raises(UnsupportedError, match="cannot replace the program"):
            one.update(PROGRAM)
        info_dict = one.info.asdict()
        assert info_dict == {
            "cookies": (), "id": None, "kind": "uprobe", "mechanism": "perf_ioctl",
            "offsets": (64,), "pid": 12, "program": "count", "program_id": 7, "target": "x:y",
        }  # fmt: skip
        assert "target='x:y'" in repr(one.info)


def test_every_public_name_is_there_and_nothing_else() -> None:
    for name in skep.links.__all__:
        assert getattr(skep.links, name).__name__ == name
    assert LinkInfo.__module__ == "skep.links.link"
    with pytest.raises(AttributeError, match="no attribute 'kprobe_nonsense'"):
        _ = skep.links.kprobe_nonsense


def test_a_forgotten_link_is_named_in_the_warning() -> None:
    one = link([], "/bin/x:main")
    with pytest.warns(ResourceWarning, match=r"uprobe link of program 'count' to /bin/x:main"):
        del one
