"""``python tests/kernel/maps/map_table.py [SERIES...]``: what every map type can do, for real.

Does every operation on a map of every type, on this kernel and in guests with others (Debian's 6.1
and 6.12 without SERIES; "here" alone runs no guest), and prints a table as Markdown: ``ok``, or the
number of a note with the error and its words. What is expected is in map_table.txt, one line for
each type and operation, with more than one outcome where kernels differ; the exit status is 1 when
something else came. ``--write`` puts what came into that file, ``--page FILE`` the Markdown into
FILE. ``--json`` does it on this kernel only and prints that as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent)]

import compiling  # noqa: E402
from map_operations import NONE, OPERATIONS, outcomes  # noqa: E402
from map_subjects import SUBJECTS  # noqa: E402

from skep.kernel.release import release_name  # noqa: E402

Table: TypeAlias = "dict[str, dict[str, list[str]]]"
"""By type and operation: the outcome in a word, and in words."""

EXPECTED = HERE / "map_table.txt"
TIMEOUT = 600.0

HEAD = """# What each map type can do

Made by `python tests/kernel/maps/map_table.py --write --page docs/map-table.md`, which does every
operation on a map of every type, with something in it, on the kernels named here. `ok`: it was
done, and the map was looked at afterwards. A number: the note with the error that says why not.
`-`: maps of this class have no such method, or nothing to map. The last two columns are the
kernel's own commands, without what skep does instead where a type lacks them. The classes are on
the page [Map types](map-types.md).

"""


def main(arguments: list[str]) -> int:
    """Make the tables, print them, compare them, and return the exit status."""
    if arguments == ["--json"]:
        print(json.dumps(here()))
        return 0
    os.chdir(compiling.ROOT)
    write = "--write" in arguments
    page = arguments[arguments.index("--page") + 1] if "--page" in arguments else ""
    series = [each for each in arguments if each != "here" and not each.startswith("--")]
    series = [each for each in series if each != page]
    tables = {release_name(): here()}
    if "here" not in arguments:
        tables.update(in_guests(series or ["6.1", "6.12"]))
    text = markdown(tables)
    if page:
        Path(page).write_text(text)
    else:
        print(text)
    if write:
        EXPECTED.write_text(lines(tables))
    problems = [one for name, table in tables.items() for one in unexpected(name, table)]
    print("\n".join(problems), file=sys.stderr)
    return int(bool(problems))


def here() -> Table:
    """Do everything on this kernel."""
    return {
        type.name: {name: list(found) for name, found in outcomes(type).items()}
        for type in SUBJECTS
    }


def in_guests(series: list[str]) -> dict[str, Table]:
    """Do everything in a guest for each of *series*."""
    from skep.vm import guest, image, kernels, programs

    cache = str(compiling.ROOT / ".cache" / "vm")
    programs.install()
    root = image.build(cache)

    def there(name: str) -> tuple[str, Table]:
        kernel = kernels.fetch(name, cache)
        script = "tests/kernel/maps/map_table.py"
        result = guest.run(
            kernel,
            root,
            ["sh", "-c", f"python {script} --json > /results/table"],
            files=["src", "tests", "pyproject.toml", *compiling.kept()],
            folder=os.getcwd(),
            processors=2,
            timeout=TIMEOUT,
            serve=compiling.answer,
        )
        if result.status:
            raise RuntimeError(f"Linux {name}: {result.output}")
        return kernel.release, json.loads(result.files["table"])

    with ThreadPoolExecutor(len(series)) as pool:
        return dict(pool.map(there, series))


def series_of(release: str) -> str:
    """Return "6.12" of "6.12.117+deb12-cloud-amd64"."""
    return ".".join(release.split(".")[:2])


def lines(tables: dict[str, Table]) -> str:
    """Return what the file of expectations says when *tables* are expected."""
    text = ["# type | operation | outcome; where kernels differ, one for each series\n"]
    for type in SUBJECTS:
        for name in OPERATIONS:
            words = {series_of(each): table[type.name][name][0] for each, table in tables.items()}
            if len(set(words.values())) == 1:
                said = next(iter(words.values()))
            else:
                said = ", ".join(f"{each}: {word}" for each, word in sorted(words.items()))
            text.append(f"{type.name} | {name} | {said}\n")
    return "".join(text)


def expected(release: str) -> dict[tuple[str, str], str]:
    """Return the expected outcomes on the kernel *release*.

    Where kernels differ, those of the newest series that is listed and not newer.
    """
    ours = tuple(map(int, series_of(release).split(".")))
    found: dict[tuple[str, str], str] = {}
    if not EXPECTED.exists():
        return found
    for line in EXPECTED.read_text().splitlines():
        if not line.startswith("#"):
            type, name, said = line.split(" | ")
            if ": " in said:
                by_series = dict(each.split(": ") for each in said.split(", "))
                versions = {tuple(map(int, each.split("."))): each for each in by_series}
                known = [each for each in sorted(versions) if each <= ours] or [min(versions)]
                said = by_series[versions[known[-1]]]
            found[type, name] = said
    return found


def unexpected(release: str, table: Table) -> list[str]:
    """Return a line for every outcome that is not the expected one."""
    wanted = expected(release)
    return [
        f"Linux {release}: {type}, {name}: {found[0]} ({found[1]}), expected"
        f" {wanted.get((type, name))}"
        for type, row in table.items()
        for name, found in row.items()
        if found[0] != wanted.get((type, name))
    ]


def markdown(tables: dict[str, Table]) -> str:
    """Return the table of the first kernel, its notes, and how the others differ."""
    (first, table), *others = tables.items()
    notes: dict[str, int] = {}
    text = [
        HEAD,
        f"## Linux {first}\n\n",
        "| type | " + " | ".join(f"`{name}`" for name in OPERATIONS),
    ]
    text.append(" |\n|---|" + "---|" * len(OPERATIONS) + "\n")
    for type, row in table.items():
        cells = [_cell(row[name], notes) for name in OPERATIONS]
        text.append(f"| {type} | {' | '.join(cells)} |\n")
    for release, other in others:
        text.append(f"\n## Linux {release}, where it differs\n\n")
        different = 0
        for type, row in other.items():
            if row["create"][0] != "ok" and table[type]["create"][0] == "ok":
                text.append(f"- {type}: cannot be created: {_cell(row['create'], notes)}\n")
                different += 1
                continue
            for name, found in row.items():
                if found[0] != table[type][name][0]:
                    was = _cell(table[type][name], notes)
                    text.append(f"- {type}, `{name}`: {_cell(found, notes)} rather than {was}\n")
                    different += 1
        if not different:
            text.append("- nowhere\n")
    text.append("\n## Notes\n\n")
    text += [f"{number}. {note}\n" for note, number in notes.items()]
    return "".join(text)


def _cell(found: list[str], notes: dict[str, int]) -> str:
    word, words = found
    if word in ("ok", NONE):
        return word
    note = f"`{word}`: {words}"
    return str(notes.setdefault(note, len(notes) + 1))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
