"""``skep map list``: the maps of the system and who uses them."""

from __future__ import annotations

import click

from skep.cli import rows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from skep.maps.system.listing import Entry
    from skep.tools.table import Column

FIELDS = (
    "id", "type", "name", "key_size", "value_size", "max_entries", "flags", "frozen", "memory",
    "btf_id", "pins", "programs", "processes",
)  # fmt: skip


@click.command("list", short_help="list the maps of the system and who uses them")
@click.option("-t", "--type", "kind", metavar="TYPE", help="Only maps of this type, e.g. hash.")
@click.option("-n", "--name", metavar="NAME", help="Only maps of this name; * and ? as in shells.")
@rows.options
def list_maps(
    kind: str | None,
    name: str | None,
    filters: tuple[str, ...],
    fields: str | None,
    sort: str | None,
    max_entries: int | None,
    output: str,
    as_json: bool,
) -> None:
    """List the maps of the system: shape, memory, pins, and the programs and processes that use it.

    A process uses a map when it has it open; one that only maps it into memory is not seen.
    """
    from fnmatch import fnmatchcase

    from skep.maps.system import listing

    selection = rows.Selection(
        FIELDS, filters=filters, fields=fields, sort=sort, limit=max_entries, words=WORDS
    )
    kind = _known(kind) if kind is not None else None
    found = [
        one
        for one in listing.entries()
        if (kind is None or one.info.kind == kind)
        and (name is None or fnmatchcase(one.info.name, name))
    ]
    wanted = list(selection.rows(_described(found, selection)))
    form = "json" if as_json else output
    count = rows.emit(wanted, selection, _columns(wanted), form, WORDS)
    if not count and form == "table":
        click.echo("no such map" if found or filters or kind or name else "no maps", err=True)


def flag_words(flags: int) -> str:
    """Name the flags of a map."""
    if not flags:
        return ""
    from skep.cli.page import flag_names
    from skep.kernel.constants import MapFlags

    return flag_names(MapFlags, flags)


def users(those: list[dict[str, Any]] | None) -> str:
    """Return programs or processes as "name (12), other (13)"."""
    words = []
    for one in those or []:
        number = one.get("id", one.get("pid"))
        words.append(f"{one['name']} ({number})" if one["name"] else str(number))
    return ", ".join(words)


def paths(those: list[str] | None) -> str:
    """Return pins as one text."""
    return ", ".join(those or [])


WORDS: dict[str, Callable[[Any], str]] = {
    "flags": flag_words,
    "frozen": lambda yes: "frozen" if yes else "",
    "pins": paths,
    "programs": users,
    "processes": users,
}


def _known(kind: str) -> str:
    """Return the type that *kind* means, or say which there are."""
    from difflib import get_close_matches

    from skep.kernel.constants import MapType

    names = [one.name.lower() for one in MapType]
    plain = kind.lower().removeprefix("bpf_map_type_")
    if plain in names or plain.isdecimal():
        return plain
    close = get_close_matches(plain, names, 3)
    hint = f"there are {', '.join(names[1:])}"
    if close:
        hint = f"did you mean {', '.join(close)}?"
    raise click.UsageError(f"--type: there is no map type {kind!r}; {hint}")


def _described(found: list[Entry], selection: rows.Selection) -> list[dict[str, Any]]:
    """Return the maps as rows; who uses them is asked only where it shows."""
    from skep.maps.system import listing

    names = {field.name.partition("[")[0] for field in selection.fields} or set(FIELDS)
    names |= {one.field.name.partition("[")[0] for one in selection.conditions}
    if selection.sort is not None:
        names.add(selection.sort.name)
    names = {name.partition(".")[0] for name in names}
    pins = listing.pins() if "pins" in names and found else {}
    programs = listing.program_users() if "programs" in names and found else {}
    processes = listing.process_users() if "processes" in names and found else {}
    return [listing.as_dict(one, pins, programs, processes) for one in found]


def _columns(wanted: list[rows.Row]) -> list[Column]:
    """Return the table's columns, without those that are empty in all rows."""
    from skep.tools.table import COUNTER, TEXT, Column

    heads = (
        ("id", "ID", COUNTER), ("type", "TYPE", TEXT), ("name", "NAME", TEXT),
        ("key_size", "KEY", COUNTER), ("value_size", "VALUE", COUNTER),
        ("max_entries", "ENTRIES", COUNTER), ("flags", "FLAGS", TEXT),
        ("frozen", "FROZEN", TEXT), ("memory", "MEMORY", COUNTER),
        ("pins", "PINS", TEXT), ("programs", "PROGRAMS", TEXT), ("processes", "PROCESSES", TEXT),
    )  # fmt: skip
    return [
        Column(name, title, role=role)
        for name, title, role in heads
        if any(row[name] not in ("", None, [], 0, False) for row in wanted)
    ]
