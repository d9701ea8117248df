"""``skep map watch``: what changes in a map, and how fast."""

from __future__ import annotations

import math
import time

import click

from skep.cli import rows
from skep.cli.map_items import MAP, heads, opened, types
from skep.cli.page import document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from skep.maps.system.sides import View
    from skep.tools.table import Column

    Snapshot = dict[bytes, Any]


@click.command("watch", short_help="show what changes, and how fast")
@MAP
@click.option(
    "-i", "--interval", type=click.FloatRange(0.01, 86400), default=1.0, show_default=True,
    metavar="SECONDS", help="How often the map is read.",
)  # fmt: skip
@click.option(
    "-n", "--count", type=click.IntRange(min=1), metavar="N", help="Stop after N intervals."
)
@click.option("--rate", is_flag=True, help="Growth per second, not per interval.")
@types
@rows.options
def watch(
    which: str,
    interval: float,
    count: int | None,
    rate: bool,
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
    """Show what changed in MAP in each interval, until Ctrl-C.

    That is: entries that are new or gone, values that changed, and how much their numbers grew.
    Per-CPU values are summed over CPUs. JSON is a document for each interval.
    """
    from skep.tools.output import stamp
    from skep.tools.stop import Stop

    if math.isnan(interval):
        raise click.UsageError("--interval: nan is no number of seconds")
    with opened(which, key_type, value_type, object) as view, Stop() as stop:
        names, columns = heads(view, per_cpu=False)
        names = {"change": None, **names, **{f"delta.{path}": None for path in _numbers(view)}}
        selection = rows.Selection(
            names, filters=filters, fields=fields, sort=sort, limit=max_entries
        )
        before, begun = snapshot(view), time.monotonic()
        done, last = 0, begun
        while count is None or done < count:
            done += 1
            # Due times are multiples of the interval: reading takes none of it.
            due = begun + interval * done
            stopped = stop.wait(due - time.monotonic())
            now, taken = snapshot(view), time.monotonic()
            span, last = taken - last, taken
            found = list(selection.rows(changes(view, before, now, span if rate else None)))
            if as_json or output != "table":
                picked = [dict(selection.picked(row)) for row in found]
                document({"time": stamp(time.time()), "seconds": round(span, 6), "rows": picked})
            else:
                _show(found, selection, columns, rate=rate)
            _flush()
            before = now
            if stopped:
                return


def _flush() -> None:
    import sys

    sys.stdout.flush()


def _numbers(view: View) -> list[str]:
    """Return the paths, below the value, of what can grow."""
    return [
        path.partition(".")[2] or "value"
        for path, inner in view.value.shape.leaves("value")
        if inner.kind in ("number", "float")
    ]


def snapshot(view: View) -> Snapshot:
    """Read the whole map: plain values by packed key."""
    from skep.errors import KernelError

    return {
        key: None if isinstance(data, KernelError) else view.plain(data)
        for key, data in view.entries()
    }


def changes(
    view: View, before: Snapshot, now: Snapshot, seconds: float | None
) -> Iterator[dict[str, Any]]:
    """Yield a row for each entry that is new, changed or gone, with the growth of its numbers.

    *seconds* makes rates of it.
    """
    key = view.keyed()
    for packed, value in now.items():
        if packed not in before:
            change, old = "new", None
        elif before[packed] != value:
            change, old = "changed", before[packed]
        else:
            continue
        delta = _delta(view, old, value, seconds)
        yield {"change": change, "key": key.plain(packed), "value": value, "delta": delta}
    for packed, value in before.items():
        if packed not in now:
            yield {"change": "gone", "key": key.plain(packed), "value": value, "delta": {}}


def _delta(view: View, old: Any, value: Any, seconds: float | None) -> dict[str, Any]:
    was = dict(view.value.shape.numbers(old))
    grown: dict[str, Any] = {}
    for path, number in view.value.shape.numbers(value):
        delta = number - was.get(path, 0)
        if delta:
            grown[path or "value"] = round(delta / seconds, 3) if seconds else delta
    return grown


def _show(
    found: list[Any], selection: rows.Selection, columns: list[Column], *, rate: bool
) -> None:
    """Print the changes of one interval, the time first."""
    from skep.tools.table import COUNTER, TEXT, Column

    click.echo(f"{time.strftime('%H:%M:%S')}" + ("" if found else "  nothing changed"))
    if not found:
        return
    shown = [Column("change", "CHANGE", role=TEXT), *columns]
    unit = "/s" if rate else ""
    grown = {path: None for row in found for path in row["delta"]}
    shown += [Column(f"delta.{path}", f"+{path}{unit}", role=COUNTER) for path in grown]
    rows.emit(found, selection, shown, "table")
    click.echo()
