"""``skep check``: whether an object loads here, and if not, why."""

from __future__ import annotations

import sys

import click

from skep.cli.page import document, write
from skep.errors import ExternError, RelocationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from skep.btf.target import Target
    from skep.object.check import Report, Result

TAIL = 8  # lines of a verifier's log that are shown; the reason is in the last ones

COLOURS = {"loaded": "green", "failed": "red"}


@click.command("check", short_help="load an object without attaching it, and say what fails")
@click.argument("file", metavar="FILE", type=click.Path(readable=False))
@click.option(
    "--btf", metavar="MODE", default=None,
    help="Whose types CO-RE is resolved against: auto, sysfs (the running kernel's), none, a FILE "
    "with BTF or a DIR of such files. Default: the variable SKEP_BTF, or auto.",
)  # fmt: skip
@click.option("-v", "--verbose", is_flag=True, help="Show the verifier's whole log of a failure.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def check(file: str, btf: str | None, verbose: bool, as_json: bool) -> int:
    """Load every program of FILE into this kernel without attaching it, and let go of it again.

    Exit status 1 when one fails. Programs in sections that begin with "?" are left out. Nothing
    is pinned. Needs root, or the capabilities that loading needs.
    """
    from skep.object.check import check as try_out
    from skep.object.spec import ObjectSpec

    report = try_out(ObjectSpec.from_file(file), btf=btf)
    if as_json:
        what = report.as_dict()
        if verbose:
            for each, one in zip(what["programs"], report.programs, strict=True):
                each["log"] = one.log or None
        document(what)
    else:
        write(*lines(report, verbose=verbose))
    return 0 if report.loaded else 1


def lines(report: Report, *, verbose: bool) -> Iterator[str]:
    """Yield the report for a person."""
    from skep.tools.table import printable

    terminal = sys.stdout.isatty()
    wanted = [one for one in report.programs if not one.left_out]
    count = sum(one.loaded for one in wanted)
    result = f"{count} of {len(wanted)} programs loaded" if wanted else "no program to load"
    title = f"{printable(report.name)}: {result}"
    yield click.style(title, bold=True) if terminal else title
    yield from _btf_lines(report.target, verbose=verbose)
    if report.programs:
        yield ""
        yield from _rows(report.programs, terminal)
    errors = [report.error] if report.error else [one.error for one in wanted if one.error]
    logs = {str(one.error): one.log for one in wanted}
    for error in {str(each): each for each in errors}.values():  # the same thing is said once
        yield ""
        first, *more = [printable(line) for line in str(error).splitlines()] or [""]
        yield click.style(first, fg="red") if terminal else first
        yield from more
        for note in getattr(error, "__notes__", ()):
            yield f"  {printable(note)}"
        log = [line.rstrip() for line in logs.get(str(error), "").splitlines() if line.strip()]
        if not verbose:
            # What the verifier says of a poisoned call is only in the way of the reason.
            poisoned = isinstance(error, RelocationError | ExternError)
            log = [] if poisoned else [one for one in log if not _counts(one)][-TAIL:]
        for line in log:
            yield f"    {printable(line)}"


def _rows(results: list[Result], terminal: bool) -> Iterator[str]:
    from skep.tools import plain
    from skep.tools.table import COUNTER, TEXT, Column, Table

    heads = (
        ("program", "PROGRAM", TEXT), ("section", "SECTION", TEXT), ("result", "RESULT", TEXT),
        ("verified", "VERIFIED", COUNTER), ("tag", "TAG", TEXT),
    )  # fmt: skip
    rows = [(r.name, r.section, r.word, r.verified_instructions, r.tag) for r in results]
    table = Table([Column(name, title, role=role) for name, title, role in heads], rows)
    head, *body = plain.table(table)
    yield click.style(head, bold=True) if terminal else head
    for result, line in zip(results, body, strict=True):
        colour = COLOURS.get(result.word)
        yield click.style(line, fg=colour, dim=colour is None) if terminal else line


def _btf_lines(target: Target | None, *, verbose: bool) -> Iterator[str]:
    """Yield whose types were used, and why not others'."""
    from skep.tools.table import printable

    if target is None or target.btf is None:
        return  # not needed; or the error says what is missing
    what = {
        "sysfs": "the running kernel's", "boot": "the running kernel's", "file": "a file's",
        "directory": "one of a folder", "shipped": "minimised, beside the object",
    }.get(target.source, target.source)  # fmt: skip
    yield f"types: {what}, {printable(target.path)}" if target.path else f"types: {what}"
    if verbose or target.source not in ("sysfs", "given"):
        for path, reason in target.tried:
            yield printable(f"  not {path}: {reason}" if path else f"  {reason}")


def _counts(line: str) -> bool:
    """Whether *line* of a log is the statistics that end it."""
    return line.startswith(("processed ", "verification time ", "stack depth "))
