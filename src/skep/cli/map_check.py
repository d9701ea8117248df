"""``skep map check``: what would make a map read wrong."""

from __future__ import annotations

import sys

import click

from skep.cli.page import document, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from skep.maps.diagnose import Finding
    from skep.maps.spec import MapSpec
    from skep.maps.system.sides import View

COLOURS = {"wrong": "red", "limit": "yellow", "guess": "yellow"}


@click.command("check", short_help="say what would make a map read wrong")
@click.argument("which", metavar="MAP")
@click.option("--type", "value_type", metavar="T", help="Would the values be read right as a T?")
@click.option("--key-type", metavar="T", help="Would the keys be read right as a T?")
@click.option(
    "--object", "object_file", metavar="FILE.o", type=click.Path(),
    help="Compare with the map of the same name in FILE.o; T may be one of its types.",
)  # fmt: skip
@click.option("--map", "name", metavar="NAME", help="The map in FILE.o, when it is another name.")
@click.option("-v", "--verbose", is_flag=True, help="Show the layouts that notes are about, too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def check(
    which: str,
    value_type: str | None,
    key_type: str | None,
    object_file: str | None,
    name: str | None,
    verbose: bool,
    as_json: bool,
) -> int:
    """Say what would make MAP read wrong: an id, the path of a pin, or a name.

    Every entry is read, nothing is written. Exit status 0 when nothing is wrong (there may be
    notes), 1 when something is. What is a guess from the values says so.
    """
    from skep.errors import SkepError
    from skep.maps import diagnose
    from skep.maps.diagnose import place
    from skep.maps.system import listing
    from skep.maps.system.sides import view
    from skep.maps.system.type_names import Places

    if name is not None and object_file is None:
        raise click.UsageError("--map needs --object")
    expected = _expected(object_file) if object_file is not None else {}
    if name is not None and name not in expected:
        there = ", ".join(expected) or "none"
        raise click.UsageError(f"--map: {object_file} has no map {name!r}; it has {there}")
    kind, word = listing.meaning(which)
    try:
        live = view(listing.find(which))
    except SkepError as error:
        absent = place.absence(which, error)
        return _report(which, None, absent, as_json, verbose=verbose)
    with live:
        places = Places(object_file, live.map.spec.btf)
        types = [places.find(one) if one is not None else None for one in (key_type, value_type)]
        findings = diagnose.check(
            live,
            path=word if kind == "pin" else "",
            expected=_match(live, expected, name, which),
            key_type=types[0],
            value_type=types[1],
        )
        return _report(which, live, findings, as_json, verbose=verbose)


def _expected(path: str) -> dict[str, MapSpec]:
    from skep.object.spec import ObjectSpec

    return ObjectSpec.from_file(path).maps


def _match(
    view: View, expected: dict[str, MapSpec], name: str | None, which: str
) -> MapSpec | None:
    """Return the object's map that the live one should be; `click.UsageError` when unclear."""
    from skep.maps.spec import kernel_name

    if not expected:
        return None
    if name is not None:
        return expected[name]
    named = [one for one in expected.values() if kernel_name(one.name) == view.map.name]
    if named:
        return named[0]
    if len(expected) == 1:
        return next(iter(expected.values()))
    there = ", ".join(expected)
    raise click.UsageError(
        f"--object has no map called {view.map.name!r}, which {which} is; it has {there}:"
        " --map NAME says which one it should be"
    )


def _report(
    which: str, view: View | None, findings: list[Finding], as_json: bool, *, verbose: bool
) -> int:
    """Print the findings; return the exit status."""
    count = sum(one.level != "note" for one in findings)
    if as_json:
        document(
            {
                "map": None if view is None else _described(view),
                "fine": not count,
                "findings": [one.asdict() for one in findings],
            }
        )
    else:
        write(*_lines(which, view, findings, verbose=verbose))
    return 1 if count else 0


def _described(view: View) -> dict[str, Any]:
    spec, key = view.map.spec, view.key
    from skep.maps import kinds

    return {
        "id": view.map.id,
        "type": kinds.type_name(spec.type),
        "name": spec.name,
        "key_size": spec.key_size,
        "value_size": spec.value_size,
        "key_type": key.type_name if key is not None and key.typed else None,
        "value_type": view.value.type_name if view.value.typed else None,
    }


def _lines(
    which: str, view: View | None, findings: list[Finding], *, verbose: bool
) -> Iterator[str]:
    """Yield the report for a person."""
    from skep.object.spec import counted
    from skep.tools.table import printable

    count = sum(one.level != "note" for one in findings)
    notes = len(findings) - count
    result = counted(count, "finding") if count else "nothing wrong found"
    result += f", {counted(notes, 'note')}" if notes else ""
    title = f"{which}: {result}"
    if view is not None:
        what = _described(view)
        title = f"map {what['name']!r} ({what['type']}, id {what['id']}): {result}"
    terminal = sys.stdout.isatty()
    title = printable(title)
    yield click.style(title, bold=True) if terminal else title
    if view is not None:
        sides = [view.key, view.value] if view.key is not None else [view.value]
        words = [
            f"{side.role} {side.type_name}"
            + (f" ({side.size} bytes)" if not side.type_name.endswith(" bytes") else "")
            for side in sides
            if side.size
        ]
        if words:
            yield printable(", ".join(words))
    for one in findings:
        yield ""
        head = _folded(f"{one.level}: {printable(one.text)} [{one.code}]", terminal)
        for line in head.splitlines():
            yield click.style(line, fg=COLOURS.get(one.level)) if terminal else line
        for line in one.lines.splitlines() if verbose or one.level != "note" else ():
            yield f"    {printable(line.expandtabs())}"
        yield _folded(f"  -> {printable(one.hint)}", terminal)


def _folded(text: str, terminal: bool) -> str:
    """Return *text* as it fits a terminal, broken between words; whole for everything else."""
    if not terminal:
        return text
    from shutil import get_terminal_size
    from textwrap import fill

    return fill(
        text,
        get_terminal_size().columns,
        subsequent_indent="     ",
        break_long_words=False,
        break_on_hyphens=False,
    )
