"""``python -m skep.vm SERIES... -- COMMAND...``: run a command under other kernels.

The exit status is the command's own; 124 when its time ran out, 125 when a guest died or could
not be started.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from skep.errors import SkepError
from skep.vm import guest, image, kernels, programs

TIME_OVER, NO_GUEST = 124, 125  # what timeout(1) and docker-run(1) exit with
SKEP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_printing = threading.Lock()


def main(arguments: list[str]) -> int:
    """Run a command in one guest for each kernel series, side by side; exit with the worst."""
    parser = argparse.ArgumentParser(prog="python -m skep.vm", description=main.__doc__)
    parser.add_argument("series", nargs="*", help="a kernel series of Debian, such as 6.1")
    parser.add_argument(
        "--files", action="append", default=[], help="a file or folder to copy into the guests"
    )
    parser.add_argument("--results", help="where to put what the command left in /results")
    parser.add_argument("--timeout", type=float, default=600, help="seconds, boot included")
    parser.add_argument("--memory", type=int, default=1024, help="MiB for each guest")
    parser.add_argument("--processors", type=int, default=1, help="of each guest")
    parser.add_argument("--cache", default=os.path.join(".cache", "vm"))
    parser.add_argument(
        "--install", action="store_true", help="install missing Debian packages first, as root"
    )
    split = arguments.index("--") if "--" in arguments else len(arguments)
    options, command = parser.parse_args(arguments[:split]), arguments[split + 1 :]
    if not command and not options.install:
        parser.error("the command goes after --")
    try:
        if options.install:
            programs.install()
        if not command:
            return 0
        root = image.build(os.path.abspath(options.cache))
    except SkepError as error:
        _say(f"skep.vm: {error}")
        return NO_GUEST
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return max(pool.map(lambda series: _one(series, root, command, options), options.series))


def _one(series: str, root: str, command: list[str], options: argparse.Namespace) -> int:
    """Run *command* on one kernel, print what came of it and return its exit status."""
    try:
        kernel = kernels.fetch(series, os.path.abspath(options.cache))
        result = guest.run(
            kernel,
            root,
            command,
            files=[SKEP, *options.files],  # an editable installation is not in the image
            folder=os.getcwd(),
            environment={k: v for k, v in os.environ.items() if k.startswith("SKEP_")},
            memory=options.memory,
            processors=options.processors,
            timeout=options.timeout,
        )
    except guest.GuestError as error:
        _say(f"{error.output}\n== Linux {series}: {error}")
        return TIME_OVER if isinstance(error, TimeoutError) else NO_GUEST
    except SkepError as error:
        _say(f"== Linux {series}: {error}")
        return NO_GUEST
    if options.results:
        keep(result, os.path.join(options.results, series))
    _say(f"{result.output}\n== Linux {kernel.release}: exit {result.status}")
    return result.status


def keep(result: guest.Result, folder: str) -> None:
    """Write the files of *result* below *folder*."""
    for name, data in result.files.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)


def _say(text: str) -> None:
    with _printing:
        print(text.lstrip("\n"), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
