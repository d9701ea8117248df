"""Addresses that a sysctl hides. The sysctl is the machine's, so this is for guests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from unprivileged import Refusal, in_child

from skep.kernel import kallsyms

if TYPE_CHECKING:
    from collections.abc import Iterator

RESTRICT = Path("/proc/sys/kernel/kptr_restrict")
READING = "reading the address of schedule from /proc/kallsyms"


def ask() -> int:
    return kallsyms.symbols(["schedule"])["schedule"][0].address


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = RESTRICT.read_text()
    yield
    RESTRICT.write_text(before)


@pytest.mark.parametrize(
    ("restrict", "capabilities", "said"),
    [
        (1, (), f"PrivilegeError: {READING} needs CAP_SYSLOG"),
        (2, ("CAP_SYSLOG",), f"UnsupportedError: {READING} gives 0: kernel.kptr_restrict is 2"),
    ],
)
def test_what_hides_them_is_named(restrict: int, capabilities: tuple[str, ...], said: str) -> None:
    RESTRICT.write_text(str(restrict))
    seen = in_child(ask, *capabilities)
    assert isinstance(seen, Refusal)
    assert repr(seen).startswith(said)


@pytest.mark.parametrize("restrict", [0, 1])
def test_a_capability_shows_them(restrict: int) -> None:
    RESTRICT.write_text(str(restrict))
    assert in_child(ask, "CAP_SYSLOG") == ask() > 0
