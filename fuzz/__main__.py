"""Run the targets for FUZZ_SECONDS and say what came of it: ``make fuzz``.

Two targets run at a time (FUZZ_JOBS). An input that does what must not happen is kept in
`fuzz/findings/TARGET/`, where a unit test replays it from then on, and the exit status is 1. What
was learnt stays in `.cache/fuzz` for the next run.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from fuzz import seeds
from fuzz.targets import MAX_MEMORY, MAX_SECONDS

ROOT = Path(__file__).parent.parent
CACHE = ROOT / ".cache" / "fuzz"
FINDINGS = ROOT / "fuzz" / "findings"

# How large a share of the time each target gets, the longest first.
SHARES = {"elf": 10, "btf": 7, "types": 7, "code": 3, "btf_ext": 2, "binary": 2, "log": 1}
# Bytes of an input: small ones are tried more often, and reach as far.
LARGEST = {"elf": 1 << 15, "btf": 1 << 13, "types": 1 << 12, "code": 1 << 12, "binary": 1 << 16}
TAIL = 30  # lines of a failed target's log that are shown


class Run:
    """One target as it is fuzzed: the process and its log, and afterwards what the log says."""

    def __init__(self, name: str, seconds: int) -> None:
        self.name = name
        self.seconds = seconds
        self.log = CACHE / f"{name}.log"
        self.kept = FINDINGS / name
        self.corpus = CACHE / "corpus" / name
        for folder in (self.kept, self.corpus):
            folder.mkdir(parents=True, exist_ok=True)
        self.before = set(self.kept.iterdir())
        seeds.write(name, CACHE / "seeds" / name)
        options = {
            "max_total_time": seconds,
            "timeout": MAX_SECONDS,
            "rss_limit_mb": MAX_MEMORY >> 20,
            "max_len": LARGEST.get(name, 1 << 12),
            "print_final_stats": 1,
            "artifact_prefix": f"{self.kept}/",
        }
        command = [sys.executable, "-m", "fuzz.worker", name]
        command += [f"-{option}={value}" for option, value in options.items()]
        command += [str(self.corpus), str(CACHE / "seeds" / name)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def number(self, pattern: str) -> int:
        """Return the last number in the log that *pattern* stands before; 0 for none."""
        found = re.findall(pattern + r"\s*(\d+)", self.text())
        return int(found[-1]) if found else 0

    def text(self) -> str:
        """Return the log so far."""
        return self.log.read_text("utf-8", "replace")

    def findings(self) -> list[Path]:
        """Return the inputs kept by this run."""
        return sorted(set(self.kept.iterdir()) - self.before)

    def row(self) -> tuple[str, ...]:
        """Return the cells of this target's line in the summary."""
        runs = self.number("stat::number_of_executed_units:")
        return (
            self.name,
            str(self.seconds),
            str(runs),
            str(runs // max(self.seconds, 1)),
            str(self.number("cov:")),
            str(self.number("ft:")),
            str(sum(1 for _ in self.corpus.iterdir())),
            str(self.number("stat::new_units_added:")),
            str(self.number("stat::peak_rss_mb:")),
            str(len(self.findings())),
        )


HEADS = (
    "target", "seconds", "executions", "exec/s", "edges", "features", "corpus", "new",
    "memory MB", "findings",
)  # fmt: skip


def main() -> int:
    """Fuzz, print the summary, and return the exit status."""
    try:
        import atheris  # noqa: F401
    except ImportError:
        sys.stderr.write(
            "make fuzz needs the package atheris, which could not be imported: pip install"
            " 'skep[fuzz]' (it has wheels for Linux on x86-64)\n"
        )
        return 2
    jobs = int(os.environ.get("FUZZ_JOBS", "2"))
    total = int(os.environ.get("FUZZ_SECONDS", "600")) * jobs
    chosen = {name: share for name, share in SHARES.items() if name in (sys.argv[1:] or SHARES)}
    if not chosen:
        sys.stderr.write(f"there is no such target; the targets are {', '.join(SHARES)}\n")
        return 2
    parts = sum(chosen.values())
    waiting = [(name, max(total * share // parts, 1)) for name, share in chosen.items()]
    running: list[Run] = []
    done: list[Run] = []
    while waiting or running:
        while waiting and len(running) < jobs:
            name, seconds = waiting.pop(0)
            print(f"{name}: {seconds} s", flush=True)
            running.append(Run(name, seconds))
        # Whichever ends first: waiting for one of several children has no simpler form.
        time.sleep(0.2)
        for run in [run for run in running if run.process.poll() is not None]:
            running.remove(run)
            done.append(run)
    return report(done)


def report(done: list[Run]) -> int:
    """Print what the runs came to; 1 when there is a finding."""
    rows = [
        HEADS,
        *(run.row() for run in sorted(done, key=lambda run: list(SHARES).index(run.name))),
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADS))]
    for row in rows:
        cells = [
            row[0].ljust(widths[0]),
            *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)),
        ]
        print("  ".join(cells))
    bad = False
    for run in done:
        found = run.findings()
        if not found and run.process.returncode == 0:
            continue
        bad = True
        print(f"\n{run.name} ended with status {run.process.returncode}:")
        print("\n".join(f"    {line}" for line in run.text().splitlines()[-TAIL:]))
        for path in found:
            print(f"  kept: {path.relative_to(ROOT)}")
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
