"""A child process without privileges, to see real refusals."""

from __future__ import annotations

import ctypes
import os
import pickle
from typing import TYPE_CHECKING, Any, Protocol

from skep.kernel.capabilities import _NUMBERS, _VERSION_3
from skep.kernel.syscall import checked

if TYPE_CHECKING:
    from collections.abc import Callable

PR_SET_KEEPCAPS = 8
NOBODY = 65534


class Dropped(Protocol):
    """The type of the `dropped` fixture."""

    def __call__(self, function: Callable[[], Any], *capabilities: str) -> Any:
        """Run *function* in a child as nobody, with just *capabilities*; return its result."""


def set_capabilities(names: tuple[str, ...]) -> None:
    """Make *names* the process's permitted and effective capabilities."""
    mask = sum(1 << _NUMBERS[name] for name in names)
    low, high = (mask & 0xFFFFFFFF).to_bytes(4, "little"), (mask >> 32).to_bytes(4, "little")
    header = ctypes.create_string_buffer(_VERSION_3.to_bytes(4, "little") + bytes(4), 8)
    data = ctypes.create_string_buffer(low + low + bytes(4) + high + high + bytes(4), 24)
    addresses = ctypes.addressof(header), ctypes.addressof(data)
    checked("capset", *addresses, what="dropping capabilities")


def become_nobody(capabilities: tuple[str, ...]) -> None:
    """Give up root for ever, keeping *capabilities*."""
    checked("prctl", PR_SET_KEEPCAPS, 1, what="keeping capabilities")
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    set_capabilities(capabilities)


class Refusal:
    """An exception that came out of the child: its classes, text and evidence."""

    def __init__(self, kinds: list[str], text: str, evidence: dict[str, Any]) -> None:
        self.kinds = kinds
        self.text = text
        self.evidence = evidence

    def __repr__(self) -> str:
        return f"{self.kinds[0]}: {self.text} {self.evidence}"


def in_child(function: Callable[[], Any], *capabilities: str) -> Any:
    """Run *function* in a forked child that is nobody; what it raises is returned, not raised."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reader)
            become_nobody(capabilities)
            try:
                result: Any = function()
            except Exception as error:  # noqa: BLE001 - the parent judges it
                evidence = getattr(error, "evidence", {})
                names = [kind.__name__ for kind in type(error).__mro__]
                result = Refusal(names, str(error), evidence)
            with open(writer, "wb") as pipe:
                pickle.dump(result, pipe)
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with open(reader, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(pid, 0)
    assert status == 0, "the child died"
    return pickle.loads(data)
