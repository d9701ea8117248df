"""The command line without a kernel: help, wrong usage, and errors as a person sees them."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from skep import cli
from skep.cli.commands import COMMANDS
from skep.errors import KernelError, LoadErrors, NotFoundError, VerifierError
from skep.tools import SUMMARIES

if TYPE_CHECKING:
    from pathlib import Path

SKEP = [sys.executable, "-c", "from skep.cli import main; main()"]


def skep(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``skep`` as a process of its own."""
    return subprocess.run(
        [*SKEP, *arguments],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


def test_help_lists_everything() -> None:
    """Every tool and command, with its line."""
    done = skep("--help")
    assert done.returncode == 0
    assert done.stderr == ""
    for name, summary in SUMMARIES.items():
        assert f"{name}  " in done.stdout
        assert summary in done.stdout
    for name in COMMANDS:
        assert f"  {name} " in done.stdout


def test_help_imports_little() -> None:
    """No NumPy, no rich, no ctypes, and no tool."""
    code = (
        "import sys; from skep.cli import run; run(['--help']); "
        "print(sorted({'numpy', 'rich', 'ctypes', 'skep.object', 'skep.tools.frame', "
        "'skep.agent', 'subprocess'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("name", [*SUMMARIES, *COMMANDS])
def test_every_command_explains_itself(name: str) -> None:
    """With --help and -h, and to standard output."""
    done = skep(name, "-h")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: skep {name}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "There is no command 'nothing'."),
        (["runqlatt"], "Did you mean runqlat?"),
        (["runqlat", "--nothing"], "No such option"),
        (["runqlat", "-p", "x"], "'x' is not a valid integer"),
        (["runqlat", "-p", "0"], "pid must be at least 1, not 0"),
        (["runqlat", "nan"], "INTERVAL must be at least 0.01, not nan"),
        (["runqlat", "1", "0"], "COUNT must be at least 1, not 0"),
        (["runqlat", "-P", "-L"], "exclude each other"),
        (["runqlat", "-d", "-1"], "duration must be at least 0.01"),
        (["runqlat", "-o", "xml"], "'xml' is not one of"),
        (["funclatency"], "Missing argument 'BINARY:SYMBOL'"),
        (["funclatency", "malloc"], "'malloc' is not BINARY:SYMBOL"),
        (["syscount", "-e", "EBOGUS"], "there is no error 'EBOGUS'"),
        (["syscount", "--syscall", "openatt"], "did you mean openat"),
        (["execsnoop", "-n", "("], "is not a regular expression"),
        (["build"], "Missing argument 'SRC'"),
        (["btf", "dump", "--format", "x"], "'x' is not one of"),
    ],
)
def test_wrong_usage(arguments: list[str], message: str) -> None:
    """Status 2, what is wrong and where to look, and no traceback."""
    done = skep(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert message in done.stderr
    assert "Usage: skep" in done.stderr
    assert "Traceback" not in done.stderr


def test_failures_are_a_sentence(tmp_path: Path) -> None:
    """Status 1, one line that begins with the program's name."""
    (tmp_path / "text").write_text("this is not BTF, and long enough to be taken for some")
    (tmp_path / "half.o").write_bytes(b"\x7fELF\x02\x01")
    for arguments, message in (
        (["btf", "dump", str(tmp_path / "nothing")], "nothing: No such file or directory"),
        (["btf", "dump", str(tmp_path / "text")], "text"),
        (["btf", "dump", str(tmp_path / "half.o")], "half.o"),
        (["build", str(tmp_path / "nothing.c")], "nothing.c does not exist"),
    ):
        done = skep(*arguments)
        assert done.returncode == 1
        assert done.stdout == ""
        assert done.stderr.startswith("skep: ")
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
        assert "Traceback" not in done.stderr
        assert "a bug in skep" not in done.stderr


def test_debug_shows_the_traceback() -> None:
    """For whoever has to find it."""
    done = skep("btf", "dump", "/nothing", SKEP_DEBUG="1")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1] == "skep: /nothing: No such file or directory"


@pytest.mark.parametrize("arguments", [["--help"], ["syscount", "-l"], ["version"]])
def test_a_full_disk(arguments: list[str]) -> None:
    """Said once, and not again by Python at exit."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*SKEP, *arguments], check=False, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    assert done.stderr == "skep: cannot write the output: No space left on device\n"


@pytest.mark.parametrize("arguments", [["--help"], ["syscount", "-l"]])
def test_a_closed_pipe(arguments: list[str]) -> None:
    """A reader that has seen enough is no failure."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [*SKEP, *arguments], check=False, stdout=writer, stderr=subprocess.PIPE, text=True
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("closed", "status"), [(0, 0), (1, 1), (2, 0)])
def test_standard_streams_that_are_closed(closed: int, status: int) -> None:
    """Writing to one that is closed fails like any other; no other file gets its number."""
    code = f"import os, sys; os.close({closed}); os.execv(sys.argv[1], sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", code, *SKEP, "version"], check=False, capture_output=True, text=True
    )
    said = "skep: cannot write the output: Bad file descriptor\n" if closed == 1 else ""
    assert (done.returncode, done.stderr) == (status, said)
    assert bool(done.stdout) == (closed != 1)


def test_without_click() -> None:
    """The extra that is missing is named."""
    code = "import sys; sys.modules['click'] = None; from skep.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == (
        "skep: the skep command needs the package click, which is not installed "
        "(pip install 'skep[cli]')\n"
    )


def test_what_errors_become() -> None:
    """Groups are one sentence each, system errors name the file, the rest is called a bug."""
    group = LoadErrors(
        "2 programs failed to load",
        [
            VerifierError("program a was refused", errno=13, log="..."),
            NotFoundError("program b has no target", hint="name one"),
        ],
    )
    assert cli.sentences(group) == [
        "program a was refused",
        "program b has no target (name one)",
    ]
    assert cli.sentences(KernelError("map m was refused", errno=1)) == ["map m was refused"]
    assert cli.sentences(FileNotFoundError(2, "No such file or directory", "/x")) == [
        "/x: No such file or directory"
    ]
    (bug,) = cli.sentences(ZeroDivisionError("division by zero"))
    assert bug.startswith("a bug in skep: ZeroDivisionError: division by zero")


def test_system_calls_are_listed() -> None:
    """One name a line, nothing else."""
    done = skep("syscount", "-l")
    names = done.stdout.split()
    assert "read" in names
    assert "io_uring_enter" in names
    assert names == sorted(names)
