"""What a refused attachment says, for every errno that has a meaning."""

from __future__ import annotations

import errno
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from skep.errors import (
    AttachError,
    ClosedError,
    ElfError,
    KernelError,
    NotFoundError,
    SkepError,
    UnsupportedError,
)
from skep.kernel.constants import AttachType, ProgramType
from skep.links.auto import attach, split_offset
from skep.links.failure import ENOTSUPP, attaching, require_type
from skep.links.perf_events import EVENTS

if TYPE_CHECKING:
    from skep.links.attachable import Attachable


def program(section: str = "tp/sched/sched_switch", **attributes: object) -> Attachable:
    values = {
        "name": "count",
        "attach_to": "",
        "section": section,
        "type": ProgramType.TRACEPOINT,
        "expected_attach_type": AttachType(0),
        **attributes,
    }
    return cast("Attachable", SimpleNamespace(**values))


def refused(number: int, pid: int | None = None) -> SkepError:
    with pytest.raises(SkepError) as caught, attaching(program(), to="the moon", pid=pid):
        raise KernelError("failed", errno=number, call="BPF_LINK_CREATE")
    return caught.value


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EEXIST, "already attached"),
        (errno.EBUSY, "exclusively"),
        (errno.E2BIG, "64 programs"),
        (errno.EMFILE, "ulimit"),
        (errno.EINVAL, "invalid"),
        (errno.EIO, "failed"),  # no meaning of its own: the kernel room's sentence
    ],
)
def test_an_errno_becomes_a_sentence_with_program_and_target(number: int, words: str) -> None:
    error = refused(number)
    assert isinstance(error, AttachError)
    assert str(error).startswith("program 'count' could not be attached to the moon: ")
    assert words in str(error)
    assert error.errno == number
    assert error.program == "count"
    assert error.target == "the moon"
    assert error.call == "BPF_LINK_CREATE"


def test_a_vanished_process_is_not_found() -> None:
    error = refused(errno.ESRCH, pid=4_000_000)
    assert isinstance(error, NotFoundError)
    assert "4000000" in str(error)
    assert error.evidence["program"] == "count"


def test_what_a_kernel_cannot_do_is_unsupported() -> None:
    for number in (ENOTSUPP, errno.EOPNOTSUPP):
        assert isinstance(refused(number), UnsupportedError)


def test_other_errors_keep_their_class_and_gain_the_names() -> None:
    with pytest.raises(ElfError) as caught, attaching(program(), to="x:y"):
        raise ElfError("x is truncated", hint="copy it again", offset=12)
    assert caught.value.message == "program 'count' could not be attached to x:y: x is truncated"
    assert caught.value.hint == "copy it again"
    assert caught.value.offset == 12
    assert isinstance(caught.value.__cause__, ElfError)


def test_errors_are_reworded_once() -> None:
    with pytest.raises(NotFoundError) as caught, attaching(program(), to="outer"):  # noqa: SIM117
        with attaching(program(), to="inner"):
            raise NotFoundError("no such thing")
    assert "inner" in str(caught.value)
    assert "outer" not in str(caught.value)


def test_other_exceptions_pass() -> None:
    with pytest.raises(ZeroDivisionError), attaching(program(), to="x"):
        raise ZeroDivisionError


def test_the_wrong_program_type_names_type_and_section() -> None:
    one = program(section="kprobe/x", type=ProgramType.KPROBE)
    with pytest.raises(AttachError, match="KPROBE") as caught:
        require_type(one, "it", types=(ProgramType.TRACEPOINT,), sections='"tp/a/b"')
    assert 'section "kprobe/x"' in str(caught.value)
    assert '"tp/a/b"' in caught.value.hint
    assert caught.value.errno == errno.EINVAL


def test_the_wrong_attach_type_is_refused() -> None:
    one = program(type=ProgramType.KPROBE, expected_attach_type=AttachType.TRACE_UPROBE_MULTI)
    with pytest.raises(AttachError):
        require_type(one, "it", types=(ProgramType.KPROBE,), attach_types=(0,), sections="x")


@pytest.mark.parametrize(
    ("text", "symbol", "offset"),
    [
        ("main", "main", 0),
        ("main+4", "main", 4),
        ("main+0x1f", "main", 31),
        ("0x1234", None, 0x1234),
        ("64", None, 64),
        ("malloc@GLIBC_2.2.5", "malloc@GLIBC_2.2.5", 0),
        ("operator+", "operator+", 0),
        ("main.(*T).Do", "main.(*T).Do", 0),
        ("0badname", "0badname", 0),
    ],
)
def test_symbol_and_offset(text: str, symbol: str | None, offset: int) -> None:
    assert split_offset(text) == (symbol, offset)


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("perf_event", r"skep\.links\.perf_event"),
        ("uprobe", "BINARY:SYMBOL"),
        ("uretprobe", "BINARY:SYMBOL"),
        ("tracepoint", "CATEGORY/NAME"),
        ("tp/sched_switch", "CATEGORY/NAME"),
        ("xdp", r"skep\.links"),
        ("", r"skep\.links"),
    ],
)
def test_a_section_that_says_too_little(section: str, words: str) -> None:
    with pytest.raises(UnsupportedError, match=words) as caught:
        attach(program(section=section))
    assert "count" in str(caught.value)


@pytest.mark.parametrize("section", ["uprobe/libc.so.6", "uprobe/:malloc", "uretprobe/c:"])
def test_a_uprobe_section_without_a_symbol(section: str) -> None:
    with pytest.raises(NotFoundError, match="names no symbol"):
        attach(program(section=section))


def test_event_names_have_the_kernels_numbers() -> None:
    assert EVENTS["cpu-clock"] == (1, 0)
    assert EVENTS["context-switches"] == (1, 3)
    assert EVENTS["cgroup-switches"] == (1, 11)
    assert EVENTS["cycles"] == (0, 0)
    assert EVENTS["ref-cycles"] == (0, 9)


def test_closed_is_still_closed() -> None:
    with pytest.raises(ClosedError), attaching(program(), to="x"):
        raise ClosedError("program 'count' is closed")
