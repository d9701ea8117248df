"""``skep object``: what is in an object file, without a kernel."""

from __future__ import annotations

import click

from skep.cli.page import NUMBER, TEXT, document, flag_names, show, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.tools.table import Table

FILE = click.argument("file", metavar="FILE", type=click.Path(readable=False))
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@click.group("object", short_help="look into a BPF object file")
def object_() -> None:
    """Look into a BPF object file. None of this needs privileges."""


@object_.command("show", short_help="list its programs, maps and variables")
@FILE
@JSON
def show_object(file: str, as_json: bool) -> None:
    """List the programs, maps and variables of FILE as they were compiled.

    Objects of either byte order are understood, on any system.
    """
    from skep.object.describe import describe
    from skep.object.spec import ObjectSpec, counted
    from skep.tools.table import printable

    spec = ObjectSpec.from_file(file)
    what = describe(spec)
    if as_json:
        document(what)
        return
    title = ", ".join(
        [
            f"{what['byte_order']}-endian",
            f"license {printable(what['license'])}" if what["license"] else "no license",
            counted(len(what["programs"]), "program"),
            counted(len(what["maps"]), "map"),
            counted(len(what["variables"]), "variable"),
        ]
    )
    externs = [
        {"name": one.name, "kind": one.kind, "type": one.declaration, "weak": "weak" * one.weak}
        for one in spec.externs.values()
    ]
    heads = [
        ("name", "EXTERN", TEXT),
        ("kind", "KIND", TEXT),
        ("weak", "WEAK", TEXT),
        ("type", "DECLARATION", TEXT),
    ]
    show(f"{printable(spec.name)}: {title}", [*_tables(what), table(heads, externs)])


def _tables(what: dict[str, Any]) -> list[Table]:
    from skep.kernel.constants import MapFlags, ProgramFlags

    for program in what["programs"]:
        program["flags"] = flag_names(ProgramFlags, program["flags"])
    for each in what["maps"]:
        each["flags"] = flag_names(MapFlags, each["flags"])
        each["pinning"] = each["pinning"].replace("none", "")
    programs = table(
        [
            ("name", "PROGRAM", TEXT),
            ("section", "SECTION", TEXT),
            ("type", "TYPE", TEXT),
            ("attach_type", "ATTACH TYPE", TEXT),
            ("flags", "FLAGS", TEXT),
            ("instructions", "INSTRUCTIONS", NUMBER),
            ("core_relocations", "CO-RE", NUMBER),
        ],
        what["programs"],
    )
    maps = table(
        [
            ("name", "MAP", TEXT),
            ("type", "TYPE", TEXT),
            ("key_size", "KEY", NUMBER),
            ("value_size", "VALUE", NUMBER),
            ("max_entries", "ENTRIES", NUMBER),
            ("flags", "FLAGS", TEXT),
            ("pinning", "PINNING", TEXT),
        ],
        what["maps"],
    )
    variables = table(
        [
            ("name", "VARIABLE", TEXT),
            ("section", "SECTION", TEXT),
            ("offset", "OFFSET", NUMBER),
            ("size", "SIZE", NUMBER),
            ("type", "TYPE", TEXT),
        ],
        what["variables"],
    )
    return [programs, maps, variables]


@object_.command("section", short_help="say what section names mean")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@JSON
def section(names: tuple[str, ...], as_json: bool) -> None:
    """Say which kind of program each section NAME stands for, and where it attaches.

    The names are those of libbpf and cilium/ebpf; one that means nothing has the type unspec.
    """
    from skep.kernel.constants import ProgramFlags
    from skep.object.describe import describe_section

    meanings = [describe_section(name) for name in names]
    if as_json:
        document(meanings)
        return
    for each in meanings:
        each["flags"] = flag_names(ProgramFlags, each["flags"])
    heads = [
        ("section", "SECTION", TEXT),
        ("type", "TYPE", TEXT),
        ("attach_type", "ATTACH TYPE", TEXT),
        ("attach_to", "ATTACHES TO", TEXT),
        ("flags", "FLAGS", TEXT),
    ]
    show("", [table(heads, meanings)])


@object_.command("relocations", short_help="list its CO-RE relocations and their answers")
@FILE
@click.option(
    "--btf", metavar="MODE", default=None,
    help="Whose types are asked: auto, sysfs (the running kernel's), none, a FILE with BTF or a "
    "DIR of such files. Default: the variable SKEP_BTF, or auto.",
)  # fmt: skip
@JSON
def relocations(file: str, btf: str | None, as_json: bool) -> None:
    """List every CO-RE relocation of FILE: what it asks, and the answer or why there is none.

    One without an answer fails a program only when the program can get there.
    """
    from skep.btf.target import find_target
    from skep.object.check import describe_target
    from skep.object.relocations import explain
    from skep.object.spec import ObjectSpec, counted
    from skep.tools.table import printable

    spec = ObjectSpec.from_file(file)
    target = find_target(btf, near=file)
    rows = [row.as_dict() for row in explain(spec, target)]
    if as_json:
        document({"btf": describe_target(target), "relocations": rows})
        return
    for row in rows:
        row["source"] = f"{row['file'].rpartition('/')[2]}:{row['line_number']}"
        row["source"] = row["source"] if row["line_number"] else ""
    failed = sum(row["target"] is None for row in rows)
    title = f"{printable(spec.name)}: {counted(len(rows), 'CO-RE relocation')}"
    title += f", {failed or 'none'} without an answer" if rows else ""
    title += f", asked of {printable(target.path)}" if rows and target.path else ""
    heads = [
        ("program", "PROGRAM", TEXT),
        ("instruction", "AT", NUMBER),
        ("source", "SOURCE", TEXT),
        ("kind", "KIND", TEXT),
        ("path", "WHAT", TEXT),
        ("access", "ACCESS", TEXT),
        ("local", "LOCAL", NUMBER),
        ("target", "TARGET", NUMBER),
        ("reason", "WHY NOT", TEXT),
    ]
    show(title, [table(heads, rows)])
