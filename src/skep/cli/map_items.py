"""``skep map dump``, ``lookup`` and ``peek``: the entries of any map."""

from __future__ import annotations

import click

from skep.cli import rows
from skep.cli.conditions import text
from skep.cli.map_keys import packed_key
from skep.cli.page import document, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any, TypeVar

    from skep.errors import KernelError
    from skep.maps.system.plain import Shape
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

    live = view(find(which), key_type=key_type, value_type=value_type, object=object)
    untyped = live.map.spec.untyped
    if untyped is not None and not (key_type or value_type):
        message = f"skep: keys and values are shown as bytes: {untyped.message}"
        click.echo(message, err=True)
    return live


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
    the order of memory. With --sort all entries are read first. On a terminal that is too narrow
    for the table each entry is a block of lines.
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
        if not rows.emit(found, selection, columns, form, tall=True) and form == "table":
            click.echo("no such entry" if filters else "the map is empty", err=True)
        if problems:
            from skep.maps.diagnose import instead

            hint = instead(view.map.spec.type)
            count = f"the values of {len(problems)} keys" if len(problems) > 1 else "a value"
            said = f"skep: {count} cannot be read: {problems[0].message}"
            click.echo(f"{said} ({hint})" if hint else said, err=True)


def heads(view: View, *, per_cpu: bool) -> tuple[dict[str, Shape | None], list[Column]]:
    """Return the names of all fields with their shapes, and the columns of a table."""
    from skep.tools.table import COUNTER, TEXT, Column

    names: dict[str, Shape | None] = {}
    columns: list[Column] = []
    for side in (view.keyed(), view.value):
        leaves = list(side.shape.leaves(side.role))
        names.update(leaves)
        if len(leaves) > MOST_COLUMNS:
            leaves = [(side.role, side.shape)]
            names[side.role] = side.shape
        for path, inner in leaves:
            number = inner.kind in ("number", "float")
            short = path.partition(".")[2] or path.upper()
            columns.append(Column(path, short, role=COUNTER if number else TEXT))
        if per_cpu and side.role == "key":
            names["cpu"] = None
            columns.append(Column("cpu", "CPU", role=COUNTER))
    titles = [column.title for column in columns]
    for column in columns:
        if titles.count(column.title) > 1:
            column.title = column.name
    return names, columns


def entries(
    view: View,
    *,
    per_cpu: bool,
    problems: list[KernelError],
    found: Iterable[tuple[bytes, bytes | KernelError]] | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a map, or of what was *found*; with *per_cpu* one for each CPU.

    Collects what cannot be read.
    """
    from skep.errors import KernelError

    key = view.keyed()
    for packed, data in view.entries() if found is None else found:
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
    "lookup", short_help="print the value of a key",
    context_settings={"ignore_unknown_options": True},
)  # fmt: skip
@MAP
@click.argument("keys", metavar="KEY...", nargs=-1, required=True)
@PER_CPU
@types
@rows.OUTPUT
@rows.JSON
def lookup(
    which: str,
    keys: tuple[str, ...],
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
    a file or cgroup. Several keys are printed as dump prints them, if the map has them all.
    """
    form = "json" if as_json else output
    with opened(which, key_type, value_type, object) as view:
        found, absent = [], []
        for key in keys:
            with packed_key(view, key) as packed:
                data = view.lookup(packed)
            if data is None:
                absent.append(missing(view, key, packed))
            else:
                found.append((packed, bytes(data)))
        if absent:
            raise ExceptionGroup("", absent)
        per_cpu = per_cpu and bool(view.cpus)
        if len(keys) == 1:
            _one(view, keys[0], *found[0], per_cpu=per_cpu, form=form)
        else:
            _several(view, keys, found, per_cpu=per_cpu, form=form)


def _one(view: View, key: str, packed: bytes, data: bytes, *, per_cpu: bool, form: str) -> None:
    """Print the value of one key."""
    from skep.maps import kinds
    from skep.tools.table import printable

    value = view.of_cpus(data) if per_cpu else view.plain(data)
    if form != "table":
        storage = view.map.spec.type in kinds.STORAGES
        document({"key": key if storage else view.keyed().plain(packed), "value": value})
    elif per_cpu:
        write(*(f"CPU {cpu}: {printable(text(one))}" for cpu, one in enumerate(value)))
    else:
        write(printable(text(value)))


def _several(
    view: View, keys: Sequence[str], found: list[tuple[bytes, bytes]], *, per_cpu: bool, form: str
) -> None:
    """Print several keys and their values as rows."""
    from skep.maps import kinds

    names, columns = heads(view, per_cpu=per_cpu)
    made = entries(view, per_cpu=per_cpu, problems=[], found=found)
    if view.map.spec.type in kinds.STORAGES:
        made = ({**row, "key": key} for key, row in zip(keys, made, strict=True))
    rows.emit(made, rows.Selection(names), columns, form, tall=True)


@click.command("peek", short_help="print the next value of a queue or stack")
@MAP
@click.option("--value-type", metavar="T", help="The values are of type T, e.g. __u64.")
@click.option("--object", metavar="FILE.o", type=click.Path(), help="Look up the type in FILE.o.")
@rows.JSON
def peek(which: str, value_type: str | None, object: str | None, as_json: bool) -> None:
    """Print the value of MAP, a queue or a stack, whose turn is next; status 1 when it is empty.

    It stays where it is. The kernel shows no others.
    """
    from skep.errors import EmptyError, UnsupportedError
    from skep.kernel import bpf
    from skep.kernel.constants import MapType
    from skep.maps.kinds import type_name

    with opened(which, None, value_type, object) as view:
        kind = view.map.spec.type
        what = f"map {view.map.name!r} ({type_name(kind)})"
        if kind not in (MapType.QUEUE, MapType.STACK):
            message = f"{what} is neither a queue nor a stack"
            hint = "skep map lookup, or dump" if view.key is not None else ""
            raise UnsupportedError(message, hint=hint, feature="map peek")
        data = bytearray(view.value_bytes)
        if not bpf.map_lookup(view.map.fd, b"", data):
            raise EmptyError(f"{what} is empty", map=view.map.name)
        value = view.plain(bytes(data))
        if as_json:
            document({"value": value})
            return
        from skep.tools.table import printable

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
