"""``skep map dump`` and ``lookup``: the entries of any map."""

from __future__ import annotations

import click

from skep.cli import rows
from skep.cli.conditions import text
from skep.cli.map_keys import packed_key
from skep.cli.page import document, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, TypeVar

    from skep.errors import KernelError
    from skep.maps.system.sides import View
    from skep.tools.table import Column

    F = TypeVar("F", bound=Callable[..., Any])

MOST_COLUMNS = 24  # of a struct; with more, it is shown in one

MAP = click.argument("which", metavar="MAP")


def types(command: F) -> F:
    """Add the options that say of which type keys and values are."""
    for option in (
        click.option(
            "--object", metavar="FILE.o", type=click.Path(), help="Look up the types in FILE.o too."
        ),
        click.option("--value-type", metavar="T", help="The values are of type T, e.g. __u64."),
        click.option("--key-type", metavar="T", help="The keys are of type T: struct key, __u32."),
    ):
        command = option(command)
    return command


PER_CPU = click.option("--per-cpu", is_flag=True, help="Each CPU's value, not their sum.")


def opened(which: str, key_type: str | None, value_type: str | None, object: str | None) -> View:
    """Open the map that *which* means, with its types."""
    from skep.maps.system.listing import find
    from skep.maps.system.sides import view

    return view(find(which), key_type=key_type, value_type=value_type, object=object)


@click.command("dump", short_help="print all entries")
@MAP
@PER_CPU
@types
@rows.options
def dump(
    which: str,
    per_cpu: bool,
    key_type: str | None,
    value_type: str | None,
    object: str | None,
    filters: tuple[str, ...],
    fields: str | None,
    sort: str | None,
    max_entries: int | None,
    output: str,
    as_json: bool,
) -> None:
    """Print all entries of MAP, as they are read: a large map takes little memory.

    MAP is an id, the path of a pin, or a name that only one map has. Values of per-CPU maps are
    summed; what cannot be summed is empty unless the CPUs agree. Bytes are in hexadecimal, in
    the order of memory. With --sort all entries are read first.
    """
    with opened(which, key_type, value_type, object) as view:
        per_cpu = per_cpu and bool(view.cpus)
        names, columns = heads(view, per_cpu=per_cpu)
        selection = rows.Selection(
            names, filters=filters, fields=fields, sort=sort, limit=max_entries
        )
        problems: list[KernelError] = []
        found = selection.rows(entries(view, per_cpu=per_cpu, problems=problems))
        form = "json" if as_json else output
        if not rows.emit(found, selection, columns, form) and form == "table":
            click.echo("no such entry" if filters else "the map is empty", err=True)
        if problems:
            from skep.maps.diagnose import instead

            hint = instead(view.map.spec.type)
            count = f"the values of {len(problems)} keys" if len(problems) > 1 else "a value"
            said = f"skep: {count} cannot be read: {problems[0].message}"
            click.echo(f"{said} ({hint})" if hint else said, err=True)


def heads(view: View, *, per_cpu: bool) -> tuple[list[str], list[Column]]:
    """Return the names of all fields, and the columns of a table."""
    from skep.tools.table import COUNTER, TEXT, Column

    names, columns = [], []
    for side in (view.keyed(), view.value):
        leaves = list(side.shape.leaves(side.role))
        names += [path for path, _ in leaves]
        if len(leaves) > MOST_COLUMNS:
            leaves = [(side.role, side.shape)]
            names.append(side.role)
        for path, inner in leaves:
            number = inner.kind in ("number", "float")
            short = path.partition(".")[2] or path.upper()
            columns.append(Column(path, short, role=COUNTER if number else TEXT))
        if per_cpu and side.role == "key":
            names.append("cpu")
            columns.append(Column("cpu", "CPU", role=COUNTER))
    titles = [column.title for column in columns]
    for column in columns:
        if titles.count(column.title) > 1:
            column.title = column.name
    return names, columns


def entries(view: View, *, per_cpu: bool, problems: list[KernelError]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a map; with *per_cpu* one for each CPU. Collects what cannot be read."""
    from skep.errors import KernelError

    key = view.keyed()
    for packed, data in view.entries():
        plain_key = key.plain(packed)
        if isinstance(data, KernelError):
            problems.append(data)
            yield {"key": plain_key, "value": None}
        elif per_cpu:
            for cpu, value in enumerate(view.of_cpus(data)):
                yield {"key": plain_key, "cpu": cpu, "value": value}
        else:
            yield {"key": plain_key, "value": view.plain(data)}


@click.command(
    "lookup", short_help="print the value of one key",
    context_settings={"ignore_unknown_options": True},
)  # fmt: skip
@MAP
@click.argument("key")
@PER_CPU
@types
@rows.OUTPUT
@rows.JSON
def lookup(
    which: str,
    key: str,
    per_cpu: bool,
    key_type: str | None,
    value_type: str | None,
    object: str | None,
    output: str,
    as_json: bool,
) -> None:
    """Print the value that MAP has under KEY; status 1 when it has none.

    KEY is written as in C or JSON: 7, 0x1f, BUSY, eth0, '{"pid": 1}', '{.pid = 1}', .pid=1, or as
    bytes in the order of memory, hex:01000000. That of a storage is a process id, or the path of
    a file or cgroup.
    """
    from skep.maps import kinds

    with opened(which, key_type, value_type, object) as view:
        with packed_key(view, key) as packed:
            data = view.lookup(packed)
        if data is None:
            raise missing(view, key, packed)
        value = view.of_cpus(bytes(data)) if per_cpu and view.cpus else view.plain(bytes(data))
        if as_json or output != "table":
            storage = view.map.spec.type in kinds.STORAGES
            document({"key": key if storage else view.keyed().plain(packed), "value": value})
            return
        from skep.tools.table import printable

        if per_cpu and view.cpus:
            write(*(f"CPU {cpu}: {printable(text(one))}" for cpu, one in enumerate(value)))
        else:
            write(printable(text(value)))


def missing(view: View, key: str, packed: bytes) -> Exception:
    """Make the error for a key that is not there."""
    from skep.errors import MissingKeyError
    from skep.maps import kinds

    name = view.map.name
    if view.map.spec.type in kinds.ARRAYS:
        entries = kinds.entries(view.map.spec.max_entries)
        return MissingKeyError(f"map {name!r} has {entries}: no index {key}", key=key, map=name)
    message = f"map {name!r} has no key {key}"
    if view.map.spec.type in kinds.STORAGES:
        return MissingKeyError(message, key=key, map=name)
    hint = f"its bytes are {packed.hex(' ')}; skep map check tells why a key may not match"
    return MissingKeyError(message, hint=hint, key=key, map=name)
