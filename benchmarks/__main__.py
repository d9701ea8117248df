"""``python -m benchmarks [CASE...]``: run the cases and print one table of ratios."""

from __future__ import annotations

import importlib
import os
import platform
import sys

from benchmarks.measure import Row, UnavailableError, keep, table

CASES = ("load", "check", "btf", "maps", "stream")


def main() -> int:
    """Run the named cases, all by default; return an exit status."""
    wanted = sys.argv[1:] or CASES
    unknown = set(wanted) - set(CASES)
    if unknown:
        print(f"no such case: {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
        return 2
    rows: list[Row] = []
    for name in wanted:
        print(f"running {name} ...", file=sys.stderr, flush=True)
        try:
            rows += importlib.import_module(f"benchmarks.{name}").run()
        except UnavailableError as reason:
            print(f"skep: {name}: {reason}", file=sys.stderr)
            return 1
    print(f"Linux {platform.release()}, Python {platform.python_version()}, {os.cpu_count()} CPUs")
    print(table(rows))
    print(f"kept in {keep(rows, wanted)}", file=sys.stderr)
    return 1 if any(row.missed for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
