"""`Closing`: a context manager that closes. `Owner`: one that warns when it was forgotten."""

from __future__ import annotations

import sys
from _warnings import warn  # the builtin: no import to fail while the interpreter shuts down

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, TracebackType
    from typing import Self, TypeAlias

    Place: TypeAlias = tuple[CodeType, int] | None


class Closing:
    """Base of what is closed at the end of a `with` block, and whose parts warn when it was not."""

    __slots__ = ()

    def close(self) -> None:
        """Give up what is held; a second call does nothing."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Owner(Closing):
    """Base of what holds something of the kernel's until `close()`.

    A subclass gives `closed`, `close()`, which may be called any number of times, and `_held()`,
    the words with which the warning begins.
    """

    __slots__ = ()

    @property
    def closed(self) -> bool:
        """Whether `close()` was called."""
        raise NotImplementedError

    def _held(self) -> str:
        raise NotImplementedError

    def _place(self) -> str:
        """Return where it was opened, in words to append, if that is known."""
        return ""

    def __del__(self) -> None:
        if not self.closed:
            message = f"{self._held()} was never closed{self._place()}"
            warn(message, ResourceWarning, 2, self)
            self.close()


_PACKAGE = __file__.removesuffix("owner.py")


def caller() -> Place:
    """Return the place in the user's code, outside of skep, that led here.

    As a code object and a position in it, which costs 0.1 us a frame; `place` makes words of it.
    None when there is only skep.
    """
    frame = sys._getframe(1)  # noqa: SLF001  the one way to look at callers cheaply
    while frame is not None:
        if not frame.f_code.co_filename.startswith(_PACKAGE):
            return frame.f_code, frame.f_lasti
        frame = frame.f_back  # type: ignore[assignment]
    return None


def place(where: Place) -> str:
    """Return *where* as ``FILE:LINE``, "" for None."""
    if where is None:
        return ""
    code, position = where
    line = code.co_firstlineno
    for start, end, number in code.co_lines():
        if start <= position < end and number is not None:
            line = number
    return f"{code.co_filename}:{line}"
