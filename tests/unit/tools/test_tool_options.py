"""Options: checked by name and range, the same for Python callers and the command line."""

from __future__ import annotations

import pytest

from skep.errors import NotFoundError, RangeError
from skep.tools import SUMMARIES, find
from skep.tools.options import Options
from skep.tools.table import Column


def test_every_tool_says_the_summary_that_is_listed() -> None:
    """The static list is what the declarations say."""
    assert {name: find(name).summary for name in SUMMARIES} == SUMMARIES
    assert [find(name).name for name in SUMMARIES] == list(SUMMARIES)


def test_unknown_tool() -> None:
    """The error lists those there are."""
    with pytest.raises(NotFoundError, match=r"there is no tool 'nothing'.*runqlat"):
        find("nothing")


def test_flags_do_not_collide() -> None:
    """No two options of a tool share a flag or a name."""
    for name in SUMMARIES:
        tool = find(name)
        options = [*tool.options, *tool.presentation]
        flags = [flag for option in options for flag in option.flags]
        assert len(flags) == len(set(flags)), name
        names = [option.name for option in (*tool.arguments, *options)]
        assert len(names) == len(set(names)), name


@pytest.mark.parametrize(
    ("tool", "given", "message"),
    [
        ("runqlat", {"pids": True, "tids": True}, "exclude each other"),
        ("runqlat", {"pid": 0}, "pid must be at least 1, not 0"),
        ("runqlat", {"pid": "1"}, "pid takes a value of type int, not '1'"),
        ("runqlat", {"pid": True}, "pid takes a value of type int"),
        ("runqlat", {"nothing": 1}, "runqlat has no option 'nothing'"),
        ("funclatency", {}, "funclatency needs BINARY:SYMBOL"),
        ("funclatency", {"target": "malloc"}, "'malloc' is not BINARY:SYMBOL"),
        ("funclatency", {"target": ":malloc"}, "is not BINARY:SYMBOL"),
        (
            "funclatency",
            {"target": "c:f", "microseconds": True, "milliseconds": True},
            "exclude each other",
        ),
        ("syscount", {"errno": "EBOGUS"}, "there is no error 'EBOGUS'"),
        ("syscount", {"errno": "0"}, "there is no error '0'"),
        ("syscount", {"errno": "errorcode"}, "there is no error 'errorcode'"),
        ("execsnoop", {"uid": "nobody-has-this-name"}, "there is no user"),
        ("execsnoop", {"name": "("}, "is not a regular expression"),
    ],
)
def test_refused(tool: str, given: dict[str, object], message: str) -> None:
    """One sentence says which option, and what it takes."""
    with pytest.raises(RangeError, match=message):
        find(tool).options_of(given)


def test_a_system_call_that_does_not_exist() -> None:
    """Close names are suggested."""
    with pytest.raises(RangeError, match=r"no system call 'openatt'.*openat"):
        find("syscount").options_of({"syscall": "openatt"})


def test_defaults() -> None:
    """What is not given has its default; attributes are there for all."""
    options = find("syscount").options_of({"pid": 7})
    assert isinstance(options, Options)
    assert (options.pid, options.top, options.latency, options.errno) == (7, 10, False, None)


def test_column_titles() -> None:
    """A title is the name in capitals unless given."""
    assert Column("pid").title == "PID"
