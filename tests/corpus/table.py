"""``python tests/corpus/table.py [SERIES...]``: run the corpus here and in guests, print the table.

Every row is a feature, every column a compiler, every cell has one character for each kernel:
``+`` it works, ``-`` not on this kernel (the reason stands at the end of the row), ``.`` a compiler
too old for it, ``!`` it failed. Below: how many objects there are, and how they differ from what
libbpf makes of them. The exit status is 1 when anything failed. Without SERIES the guests are
Debian's 6.1 and 6.12; "here" alone runs no guest.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import compiling  # noqa: E402
from corpus_case import COMPILERS  # noqa: E402
from corpus_differences import DIFFERENCES  # noqa: E402
from corpus_manifest import CASES  # noqa: E402

from skep.kernel.release import release_name  # noqa: E402
from skep.vm import guest, image, kernels, programs  # noqa: E402

if TYPE_CHECKING:
    from corpus_case import Case

Results: TypeAlias = "dict[str, tuple[str, str]]"
"""Outcome and reason of each test by name."""

TIMEOUT = 900.0
VARIABLE = "SKEP_CORPUS_RESULTS"
OPTIONS = ["-q", "--color=no", "-p", "no:cacheprovider"]
ELSEWHERE = "not on the test machine's kernel: it runs in guests"
MARKS = {"passed": "+", "skipped": "-", "failed": "!"}


def main(arguments: list[str]) -> int:
    """Run everything, print the table, and return the exit status."""
    os.chdir(compiling.ROOT)
    series = [] if arguments == ["here"] else arguments or ["6.1", "6.12"]
    columns = {release_name(): here()}
    if series:
        programs.install()
        root = image.build(str(compiling.ROOT / ".cache" / "vm"))
        with ThreadPoolExecutor(len(series)) as pool:
            columns.update(pool.map(lambda name: there(name, root), series))
    failed = show(columns)
    count(columns)
    return int(failed)


def here() -> Results:
    """Run the corpus and the comparison with libbpf on this kernel."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "results")
        command = [sys.executable, "-m", "pytest", *OPTIONS, "tests/corpus"]
        done = subprocess.run(
            command, env={**os.environ, VARIABLE: str(file)}, stdout=subprocess.PIPE, check=False
        )
        if done.returncode:
            sys.stderr.write(done.stdout.decode())
        return read(file.read_text())


def there(series: str, root: str) -> tuple[str, Results]:
    """Run the corpus on a kernel of *series*, in a guest."""
    kernel = kernels.fetch(series, str(compiling.ROOT / ".cache" / "vm"))
    result = guest.run(
        kernel,
        root,
        ["python", "-m", "pytest", *OPTIONS, "tests/corpus/test_corpus.py"],
        files=["src", "tests", "pyproject.toml", *compiling.kept()],
        folder=os.getcwd(),
        environment={VARIABLE: "/results/corpus"},
        processors=2,
        timeout=TIMEOUT,
        serve=compiling.answer,
    )
    if result.status:
        sys.stderr.write(result.output)
    return kernel.release, read(result.files["corpus"].decode())


def read(lines: str) -> Results:
    """Read what tests/corpus/conftest.py wrote."""
    entries = (json.loads(line) for line in lines.splitlines())
    return {entry["test"]: (entry["outcome"], entry["reason"]) for entry in entries}


def cell(results: Results, case: Case, compiler: str) -> tuple[str, str]:
    """Return the mark of one object on one kernel, and why, when it is not there."""
    found = results.get(f"test_result[{case.name}-{compiler}]")
    if found is None:
        return ("-", ELSEWHERE) if case.guests else ("!", "did not run")
    return MARKS[found[0]], found[1]


def show(columns: dict[str, Results]) -> bool:
    """Print a row for each feature; return whether anything failed."""
    width = max(len(case.feature) for case in CASES)
    print("kernels, in the order of the characters of a cell:", ", ".join(columns))
    print(f"{'feature':{width}}", *(f"{name:>8}" for name in COMPILERS))
    failed = False
    for case in CASES:
        cells, reasons = [], {}
        for compiler, version in COMPILERS.items():
            marks = ""
            for kernel, results in columns.items():
                mark, reason = (".", "") if version < case.clang else cell(results, case, compiler)
                marks += mark
                if reason:
                    reasons[kernel] = reason
            cells.append(f"{marks:>8}")
        failed |= any("!" in each for each in cells)
        said = "; ".join(f"{kernel}: {reason}" for kernel, reason in reasons.items())
        print(f"{case.feature:{width}}", *cells, f" {said}" if said else "")
    return failed


def count(columns: dict[str, Results]) -> None:
    """Print how many objects there are, what came of them, and how libbpf differs."""
    objects = sum(len(case.compilers()) for case in CASES)
    big = sum(len(case.compilers()) for case in CASES if case.big_endian)
    names = ", ".join(COMPILERS)
    print(
        f"\n{len(CASES)} features, {objects} little-endian and {big} big-endian objects ({names})"
    )
    for kernel, results in columns.items():
        outcomes = [
            value for name, (value, _) in results.items() if name.startswith("test_result[")
        ]
        said = ", ".join(f"{outcomes.count(each)} {each}" for each in MARKS)
        print(f"{kernel}: {said}")
    compared = [
        value == "passed"
        for name, (value, _) in next(iter(columns.values())).items()
        if name.startswith("test_the_kernel_holds_the_same[")
    ]
    apart = [case for case in CASES if case.name in DIFFERENCES]
    print(
        f"libbpf: {len(compared)} objects given to both, {compared.count(False)} unexplained"
        f" differences; {sum(len(case.compilers()) for case in apart)} objects of these"
        f" {len(apart)} cases differ, and why:"
    )
    for case in apart:
        print(f"  {case.feature}: {DIFFERENCES[case.name].reason}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
