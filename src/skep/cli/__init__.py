"""The command line: ``skep``. Thin: it parses arguments, calls the library and prints.

This module imports nothing of weight, so that ``skep`` can explain even a missing package, and
loads each command's module when that command is used.
"""

from __future__ import annotations

import os
import sys

from skep.errors import SkepError, require

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``skep`` with *arguments* (those of the process) and exit.

    Exit status: 0 done (also when ended by Ctrl-C or SIGTERM while measuring, or when the reader
    of a pipe went away), 1 failed, 2 wrong usage, 130 interrupted elsewhere. Every failure is one
    sentence on standard error; ``SKEP_DEBUG=1`` shows the traceback as well.
    """
    _open_streams()
    status = run(sys.argv[1:] if arguments is None else list(arguments))
    sys.exit(status)


def _open_streams() -> None:
    """Fill in standard streams that were closed by who started this (``>&-``).

    Else a map or link would be opened under their number. Writing to them fails, as it should:
    that of 0 is open for writing only, and those of 1 and 2 for reading only.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is not None:
            continue
        null = os.open(os.devnull, os.O_RDONLY if number else os.O_WRONLY)
        if null != number:
            os.dup2(null, number)
            os.close(null)
        setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 - for good


def run(arguments: list[str]) -> int:
    """Run ``skep`` with *arguments* and return the exit status."""
    try:
        require("click", extra="cli", purpose="the skep command")
        from skep.cli.commands import invoke

        status = invoke(arguments)
        # Now, not at exit, where Python would print a traceback if the disk is full.
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _silence(sys.stdout)
        return 0
    except Exception as error:  # noqa: BLE001 - the one place that turns errors into sentences
        if os.environ.get("SKEP_DEBUG"):
            import traceback

            traceback.print_exc()
        report(error)
        _silence(sys.stdout)
        return 1
    return status


def report(error: Exception) -> None:
    """Say on standard error, in one sentence, what went wrong."""
    from skep.tools.table import printable

    # Names in an object file or of a process could drive the terminal.
    texts = ["\n".join(map(printable, text.expandtabs().splitlines())) for text in sentences(error)]
    try:
        sys.stderr.write("".join(f"skep: {text}\n" for text in texts))
        sys.stderr.flush()
    except OSError:
        pass  # nobody is there to be told


def sentences(error: BaseException) -> list[str]:
    """Return *error* as a person should read it; what was not foreseen is called a bug."""
    if isinstance(error, BaseExceptionGroup):
        return [text for one in error.exceptions for text in sentences(one)]
    if isinstance(error, SkepError):
        return [str(error) or type(error).__name__]
    if isinstance(error, OSError) and error.errno:
        what = f"{error.filename}: " if error.filename else "cannot write the output: "
        return [what + os.strerror(error.errno)]
    name = type(error).__name__
    return [f"a bug in skep: {name}: {error} (SKEP_DEBUG=1 shows where; please report it)"]


def _silence(stream: object) -> None:
    """Throw away what *stream* still holds: writing it would fail again when Python exits."""
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, stream.fileno())  # type: ignore[attr-defined]
    except (OSError, ValueError, AttributeError):
        pass
    finally:
        os.close(null)
