"""``skep btf layout``: where the members of a type lie, and what lies between them."""

from __future__ import annotations

import os

import click

from skep.btf.types import Kind
from skep.cli.page import document, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from skep.btf.btf import Btf
    from skep.btf.layout import Layout
    from skep.btf.layout_check import Finding
    from skep.maps.spec import MapSpec

# The kinds of type that a name may mean, the likeliest first.
_LAID_OUT = (Kind.STRUCT, Kind.UNION, Kind.TYPEDEF, Kind.ENUM, Kind.ENUM64, Kind.INT)
_TAGS = {
    "struct": (Kind.STRUCT,),
    "union": (Kind.UNION,),
    "enum": (Kind.ENUM, Kind.ENUM64),
    "typedef": (Kind.TYPEDEF,),
}


@click.command("layout", short_help="print offsets, sizes and holes of a type or a map")
@click.argument("what", metavar="TYPE|MAP")
@click.argument("file", metavar="[FILE]", required=False, type=click.Path())
@click.option("--arch", metavar="ARCH", default="", help="As on i386, arm, s390x, ... Default: as"
              " the types say.")  # fmt: skip
@click.option("-E", "--expand", is_flag=True, help="Show the members of named structs inside too.")
@click.option("--check", "checked", is_flag=True,
              help="Look for what other readers would misread.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def layout(
    what: str, file: str | None, arch: str, expand: bool, checked: bool, as_json: bool
) -> int:
    """Print how TYPE, or the key and value of MAP, lie in memory: offsets, sizes, holes, padding.

    TYPE is a struct, union or typedef ("struct flow" where the name alone is not enough) of FILE,
    an object or BTF; without FILE of the running kernel. MAP is a map of the object FILE, or,
    without FILE, the id, the name or the path of a pin of a live map. With an object in the place
    of TYPE, all its maps are meant, and --check prints only what it found.

    --check exits with 1 when a key has holes, or a 32-bit program would lay something out
    otherwise.
    """
    shown, findings = _find(what, file, arch, expand, checked)
    if as_json:
        found: dict[str, Any] = {
            "layouts": [{"of": of, **each.asdict()} for of, each in shown if each is not None]
        }
        if checked:
            found["findings"] = [each.asdict() for each in findings]
        document(found)
    else:
        _print(shown, findings, checked)
    return int(any(each.severity == "error" for each in findings))


Shown = list[tuple[str, "Layout | None"]]


def _find(
    what: str, file: str | None, arch: str, expand: bool, checked: bool
) -> tuple[Shown, list[Finding]]:
    """Return what to print, each with a line about it, and the findings."""
    from skep.btf.layout import layout as layout_of
    from skep.btf.layout_check import check

    if not what.strip():
        raise click.UsageError("TYPE|MAP: there is no name")
    if file is None:
        specs = _live(what)
        if specs is not None:
            return _maps(specs, arch, expand, checked)
    from skep.cli.btf import load

    btf = load(file)
    name, kinds = _split(what)
    ids = _ids(btf, name, kinds)
    if not ids:
        own = {spec.name: spec for spec in _of_object(file)}
        named = own.get(name) if file else _live_called(name)
        if named is not None:
            return _maps([named], arch, expand, checked)
        _refuse(btf, what, name, own, file)
    found = layout_of(btf, ids[0], arch, expand=expand)
    findings = check(btf, ids[0]) if checked else []
    return [("", found)], findings


def _live(what: str) -> list[MapSpec] | None:
    """Return the maps that *what* names if it is an id, a pin, or an object; else None."""
    from skep.maps.map import Map

    if what.isdecimal():
        with Map.from_id(int(what)) as live:
            return [live.spec]
    if "/" not in what and not os.path.isfile(what):
        return None
    if os.path.isfile(what) and os.path.getsize(what):
        with open(what, "rb") as stream:
            if stream.read(4) == b"\x7fELF":
                return _of_object(what)
        from skep.errors import NotFoundError

        message = f"{what} is a file, but no BPF object"
        raise NotFoundError(message, hint="types of a BTF file: skep btf layout TYPE FILE")
    from skep.maps.system.listing import by_pin

    with Map.from_fd(by_pin(what)) as live:
        return [live.spec]


def _live_called(name: str) -> MapSpec | None:
    """Return the only live map called *name*; None without one, or where it cannot be known."""
    from skep.errors import NotFoundError, PrivilegeError
    from skep.maps.map import Map
    from skep.maps.system.listing import find

    try:
        with Map.from_fd(find(f"name:{name}")) as live:
            return live.spec
    except PrivilegeError:
        return None
    except NotFoundError as error:
        if error.evidence.get("ids"):  # several have the name
            raise
        return None


def _of_object(file: str | None) -> list[MapSpec]:
    """Return the maps of the object *file*, none when it is something else."""
    if file is None:
        return []
    with open(file, "rb") as stream:
        if stream.read(4) != b"\x7fELF":
            return []
    from skep.object.spec import ObjectSpec

    return list(ObjectSpec.from_file(file).maps.values())


def _maps(
    specs: Iterable[MapSpec], arch: str, expand: bool, checked: bool
) -> tuple[Shown, list[Finding]]:
    from skep.maps.kinds import PER_CPU, type_name
    from skep.maps.layouts import check_maps, is_section, parts

    specs = list(specs)
    shown: Shown = []
    for spec in specs:
        for part in parts(spec):
            if len(specs) > 1 and (checked or is_section(spec)):
                continue  # of a whole object, what its maps have, or what is wrong with it
            text = f"{part.of} ({type_name(spec.type)}), {part.size} bytes"
            if spec.type in PER_CPU and part.role == "value":
                text += " for each CPU, rounded up to 8"
            found = part.layout(arch, expand=expand)
            shown.append((text if found else f"{text}: no type is known", found))
        if len(specs) == 1 and not shown:
            of = f"map {spec.name!r} ({type_name(spec.type)})"
            shown.append((f"{of}: it has neither keys nor values with a type", None))
    return shown, check_maps(specs) if checked else []


def _split(what: str) -> tuple[str, tuple[int, ...]]:
    """Return the name in *what* and the kinds of type that it may mean."""
    tag, space, name = what.partition(" ")
    if not space or tag not in _TAGS:
        return what, _LAID_OUT
    return name.strip(), _TAGS[tag]


def _ids(btf: Btf, name: str, kinds: Iterable[int]) -> list[int]:
    return [id_ for kind in kinds for id_ in btf.find(name, kind)]


def _refuse(btf: Btf, what: str, name: str, maps: Iterable[str], file: str | None) -> None:
    """Say that there is no such type or map, and which have a similar name."""
    from difflib import get_close_matches

    from skep.errors import NotFoundError, PrivilegeError

    # Only strings that start alike: a kernel has 100 000.
    start = name[: max(2, len(name) // 2)]
    named = [each for each in btf.strings_starting(start) if _ids(btf, each, _LAID_OUT)]
    maps = list(maps)
    hidden = ""
    if file is None:
        from skep.maps.system.listing import entries

        try:
            maps += [one.info.name for one in entries()]
        except PrivilegeError:
            hidden = "if it is a map: names of maps need root, or CAP_SYS_ADMIN"
    close = get_close_matches(name, [*dict.fromkeys(maps), *named], 5, 0.6)
    where = file or "the running kernel"
    hints = [f"did you mean {', '.join(close)}?" if close else "", hidden]
    raise NotFoundError(
        f"{where} has no type or map called {what!r}",
        hint=" ".join(filter(None, hints)),
        name=what,
        where=where,
    )


def _print(shown: Shown, findings: Iterable[Finding], checked: bool) -> None:
    lines: list[str] = []
    for of, found in shown:
        lines += [""] if lines else []
        lines += [f"/* {of} */"] if of else []
        lines += found.lines() if found is not None else []
    if checked:
        lines += [""] if lines else []
        findings = list(findings)
        for each in findings:
            lines += [str(each), f"  {each.fix}"]
        if not findings:
            lines.append("nothing that another reader would misread")
    from skep.tools.table import printable

    write(*map(printable, lines))
