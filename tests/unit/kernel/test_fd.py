"""One owner for one descriptor."""

from __future__ import annotations

import errno
import gc
import os
import threading
from typing import TYPE_CHECKING

import pytest

from skep.errors import ClosedError, KernelError, RangeError
from skep.kernel.fd import FD

if TYPE_CHECKING:
    from collections.abc import Callable


def make(what: str = "map 'x'") -> FD:
    return FD(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC), what)


def test_closes_once_and_says_so_afterwards() -> None:
    with make() as fd:
        number = fd.fileno()
        assert os.fstat(number)
        assert not fd.closed
    assert fd.closed
    fd.close()
    with pytest.raises(ClosedError, match="map 'x' is closed"):
        fd.fileno()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)
    assert repr(fd) == "<FD closed: map 'x'>"


def test_forgetting_warns_and_closes() -> None:
    owners = [make("program 'lost'")]
    number = owners[0].fileno()
    with pytest.warns(ResourceWarning, match=r"program 'lost' \(descriptor \d+\) was never closed"):
        owners.clear()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


def test_closing_does_not_warn(recwarn: pytest.WarningsRecorder) -> None:
    make().close()
    gc.collect()
    assert not recwarn.list


def test_two_owners_are_found_out() -> None:
    fd = make()
    os.close(fd.fileno())
    with pytest.raises(KernelError, match="closed by somebody else") as caught:
        fd.close()
    assert caught.value.errno == errno.EBADF
    assert fd.closed


def test_detach_gives_the_number_away() -> None:
    fd = make()
    number = fd.detach()
    assert fd.closed
    fd.close()
    assert os.fstat(number)
    os.close(number)


def test_dup_has_a_life_of_its_own() -> None:
    with make() as fd:
        copy = fd.dup()
    with copy:
        assert copy.what == "map 'x'"
        assert os.fstat(copy.fileno())
        assert not os.get_inheritable(copy.fileno())


@pytest.mark.parametrize("number", [-1, -9])
def test_negative_numbers_are_no_descriptors(number: int) -> None:
    with pytest.raises(RangeError, match="map 'x': -"):
        FD(number, "map 'x'")
    gc.collect()


def test_a_retired_number_is_given_back_with_the_last_reference() -> None:
    fd = make()
    number = fd.fileno()
    fd.retire()
    fd.retire()
    fd.close()
    assert fd.closed
    with pytest.raises(ClosedError, match="map 'x' is closed"):
        fd.fileno()
    assert os.readlink(f"/proc/self/fd/{number}") == "/"  # no file any more, and taken
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.read(number, 1)
    with make() as other:
        assert other.fileno() != number
    del fd
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


def test_retiring_finds_two_owners_out() -> None:
    fd = make()
    os.close(fd.fileno())
    with pytest.raises(KernelError, match="closed by somebody else"):
        fd.retire()
    assert fd.closed


def test_one_of_many_threads_closes() -> None:
    for end in (FD.close, FD.retire):
        fds = [make() for _ in range(200)]
        start = threading.Barrier(4)
        failed: list[BaseException] = []

        def close(
            fds: list[FD] = fds,
            start: threading.Barrier = start,
            end: Callable[[FD], None] = end,
            failed: list[BaseException] = failed,
        ) -> None:
            start.wait()
            try:
                for fd in fds:
                    end(fd)
            except KernelError as error:  # EBADF: it was closed twice
                failed.append(error)

        threads = [threading.Thread(target=close) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failed


def test_it_knows_where_it_was_opened() -> None:
    with make() as fd:
        line = make.__code__.co_firstlineno + 1
        assert fd.opened_at == f"{__file__}:{line}"
    assert FD.none("nothing").opened_at == ""
