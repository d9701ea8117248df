"""``python tests/in_guests.py``: run the tests of the kernel in guests with other kernels.

``make test-vm`` calls it. Arguments that are paths replace the tests that are run; the others go
to pytest. ``SKEP_SERIES`` names the kernel series. The exit status is the worst of the guests'.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

import compiling

from skep.errors import SkepError
from skep.vm import guest, image, kernels, programs
from skep.vm.__main__ import NO_GUEST, TIME_OVER

SERIES = os.environ.get("SKEP_SERIES", "6.1 6.12").split()
ROOMS = [
    *(
        f"tests/kernel/{room}"
        for room in ("arrow", "bindings", "btf", "cli", "links", "maps", "object", "programs")
    ),
    *("tests/kernel/streams", "tests/kernel/syscalls", "tests/kernel/tools", "tests/vm"),
    "tests/corpus/test_corpus.py",
    "tests/agent/test_run.py::test_counters_never_fall_and_every_family_is_there",
]
# Minutes in a guest for what is about the command line, or about a kernel's types whatever runs
# (tests/vm_runner compiles those of every kernel on the host).
LEFT_OUT = [
    "--ignore=tests/kernel/tools/test_run_commands.py",
    *(
        f"--deselect=tests/kernel/{test}"
        for test in (
            "btf/test_btf_kernel.py::test_a_lazy_and_an_eager_walk_find_the_same",
            "btf/test_btf_kernel.py::test_a_program_with_the_dump_compiles",
            "btf/test_btf_kernel.py::test_every_struct_can_be_decoded",
            "btf/test_btf_kernel.py::test_the_whole_dump_compiles_to_the_same_layout",
            "cli/test_check.py::test_hostile",
            "cli/test_check.py::test_imports_little",
            "cli/test_check.py::test_output_that_cannot_be_written",
            "cli/test_layout_command.py::test_every_struct_of_the_kernel_is_placed_where_it_is",
        )
    ),
]
SENT = ["src", "tests", "fuzz", "pyproject.toml"]
TIMEOUT = 900.0
CACHE = str(compiling.ROOT / ".cache" / "vm")
_printing = Lock()


def main(arguments: list[str]) -> int:
    """Run pytest with *arguments* in one guest for each kernel series, side by side."""
    os.chdir(compiling.ROOT)
    chosen = [word for word in arguments if os.path.exists(word.partition("::")[0])]
    options = [word for word in arguments if word not in chosen]
    command = ["python", "-m", "pytest", "--color=no", "-p", "no:cacheprovider", "-q", *options]
    # A test that is named is run, also one that is left out.
    command += LEFT_OUT if not any("::" in word for word in chosen) else []
    command += chosen or ROOMS
    try:
        programs.install()
        root = image.build(CACHE)
    except SkepError as error:
        say(f"no guest can run: {error}")
        return NO_GUEST
    warm(chosen or ROOMS)
    with ThreadPoolExecutor(len(SERIES)) as pool:
        return max(pool.map(lambda series: one(series, root, command), SERIES))


def warm(paths: list[str]) -> None:
    """Compile the tests to byte code here, where it is ten times as fast as in a guest."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *paths]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def one(series: str, root: str, command: list[str]) -> int:
    """Run *command* on one kernel, print what came of it and return its exit status."""
    began = time.monotonic()
    sent = [name for name in os.environ if name.startswith("SKEP_") and name != "SKEP_NO_SKIP"]
    files = [*SENT, *compiling.kept()]
    try:
        kernel = kernels.fetch(series, CACHE)
        result = guest.run(
            kernel,
            root,
            command,
            files=files,
            folder=os.getcwd(),
            environment={name: os.environ[name] for name in sent},
            processors=2,
            timeout=TIMEOUT,
            serve=compiling.answer,
        )
    except SkepError as error:
        say(f"{getattr(error, 'output', '')}\n== Linux {series}: {error}")
        return TIME_OVER if isinstance(error, TimeoutError) else NO_GUEST
    seconds = time.monotonic() - began
    say(f"{result.output}\n== Linux {kernel.release}: exit {result.status} after {seconds:.0f} s")
    return result.status


def say(text: str) -> None:
    with _printing:
        print(text.strip(), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
