"""``skep map show``: one map, its types and who uses it."""

from __future__ import annotations

import os

import click

from skep.cli.page import document, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from skep.maps.system.sides import Side, View


@click.command("show", short_help="show one map, its types and their layout")
@click.argument("which", metavar="MAP")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def show_map(which: str, as_json: bool) -> None:
    """Show one map: its shape, its types with the place of every member, and who uses it.

    MAP is an id, the path of a pin, or a name that only one map has.
    """
    from skep.maps.system import listing
    from skep.maps.system.sides import view

    with view(listing.find(which)) as live:
        entry = listing.describe(live.map.fd)
        processes = {
            id: [one for one in those if one[0] != os.getpid()]
            for id, those in listing.process_users().items()
        }
        what = listing.as_dict(entry, listing.pins(), {}, processes)
        what["programs"] = _programs(entry.info.id)
        what["extra"] = entry.info.extra
        what["key"] = _side(live.key) if live.key is not None else None
        what["value"] = _side(live.value)
        if as_json:
            document(what)
        else:
            write(*_lines(live, what))


def _programs(map_id: int) -> list[dict[str, Any]] | None:
    """Return the programs that use a map; None where they may not be asked for."""
    from skep.errors import PrivilegeError
    from skep.maps.system import listing

    try:
        users = listing.program_users()
    except PrivilegeError:  # the pin may be open to anybody
        return None
    return [{"id": id, "name": name} for id, name in users.get(map_id, [])]


def _side(side: Side) -> dict[str, Any]:
    """Return what is known of the keys or values."""
    if side.btf is None:
        return {"type": None, "size": side.size, "declaration": None, "layout": None}
    from skep.btf.layout import layout

    drawn = layout(side.btf, side.type_id)
    return {
        "type": side.type_name,
        "size": side.size,
        "declaration": _declaration(side),
        "layout": drawn.asdict(),
    }


def _declaration(side: Side) -> str:
    """Return the C declaration of the type, with its body where it has one."""
    from skep.btf import types as t
    from skep.btf.format_c import declaration, definition

    btf, type_id = side.btf, side.type_id
    assert btf is not None
    found = btf.strip(type_id)
    if isinstance(found, t.DataSec):
        variables = [btf.type(id) for id, _, _ in found.variables]
        return "\n".join(
            f"{declaration(btf, one.type_id, one.name)};"
            for one in variables
            if isinstance(one, t.Var)
        )
    if isinstance(found, (t.Composite, t.Enum)):
        return definition(btf, found.id)
    return f"{declaration(btf, type_id)};"


def _lines(view: View, what: dict[str, Any]) -> Iterator[str]:
    from skep.btf.layout import layout
    from skep.cli.map_list import flag_words, paths, users
    from skep.maps import kinds
    from skep.tools.table import printable

    yield printable(f"map {what['name']!r}: {what['type']}, id {what['id']}")
    facts = {
        "key": f"{what['key_size']} bytes" if what["key_size"] else "",
        "value": f"{what['value_size']} bytes" if what["value_size"] else "",
        "entries": f"at most {what['max_entries']}" if what["max_entries"] else "",
        "flags": flag_words(what["flags"]) + (" frozen" if what["frozen"] else ""),
        "extra": hex(what["extra"]) if what["extra"] else "",
        "memory": f"{what['memory']} bytes" if what["memory"] is not None else "",
        "pins": paths(what["pins"]),
        "programs": "not known without CAP_SYS_ADMIN"
        if what["programs"] is None
        else users(what["programs"]),
        "processes": users(what["processes"]),
    }
    if view.cpus:
        facts["value"] += f", on each of {view.cpus} CPUs"
    if view.map.spec.type in kinds.ARRAYS:
        facts["entries"] = str(what["max_entries"])
    for name, text in facts.items():
        if text.strip():
            yield printable(f"  {name:<10}{text.strip()}")
    for side in (view.key, view.value):
        if side is None or not side.size:
            continue
        yield ""
        if side.btf is None:
            word = ", no BTF" if view.map.spec.untyped is None else ", its BTF may not be read"
            word = "" if side.type_name == "index" else word
            yield f"{side.role}: {side.type_name}{word}"
            continue
        yield f"{side.role}: {printable(side.type_name)}"
        if side.shape.members:
            drawn = layout(side.btf, side.type_id).lines()
            yield from (f"  {printable(line.expandtabs(4))}" for line in drawn)
        elif side.shape.enumerators:
            for name, number in side.shape.enumerators.items():
                yield f"  {printable(name)} = {number}"
