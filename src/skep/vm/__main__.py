"""``python -m skep.vm SERIES... -- COMMAND...``: run a command under other kernels.

The exit status is the command's own; 124 when its time ran out, 125 when a guest died.
"""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ThreadPoolExecutor

from skep.errors import SkepError
from skep.vm import guest, image, kernels


def main() -> int:
    """Run the command in one guest for each series, side by side; return the worst status."""
    parser = argparse.ArgumentParser(prog="python -m skep.vm", description=main.__doc__)
    parser.add_argument("series", nargs="+", help="a kernel series of Debian, such as 6.1")
    parser.add_argument("--files", action="append", default=[], help="copied into the guest")
    parser.add_argument("--timeout", type=float, default=600, help="seconds, boot included")
    parser.add_argument("--cache", default=os.path.join(".cache", "vm"))
    arguments = sys.argv[1:]
    if "--" not in arguments:
        parser.error("the command goes after --")
    options = parser.parse_args(arguments[: arguments.index("--")])
    command = arguments[arguments.index("--") + 1 :]
    cache = os.path.abspath(options.cache)
    passed = {name: value for name, value in os.environ.items() if name.startswith("SKEP_")}

    def one(series: str) -> int:
        try:
            kernel = kernels.fetch(series, cache)
            result = guest.run(
                kernel,
                root,
                command,
                files=options.files,
                folder=os.getcwd(),
                environment=passed,
                timeout=options.timeout,
            )
        except guest.GuestTimeoutError as error:
            print(f"== Linux {series}: {error}\n{error.output}", flush=True)
            return 124
        except SkepError as error:
            print(f"== Linux {series}: {error}", flush=True)
            return 125
        print(f"== Linux {kernel.release}: exit {result.status}\n{result.output}", flush=True)
        return result.status

    root = image.build(cache)
    with ThreadPoolExecutor(max_workers=2) as pool:
        return max(pool.map(one, options.series))


if __name__ == "__main__":
    sys.exit(main())
