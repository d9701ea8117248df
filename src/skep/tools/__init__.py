"""The built-in tools: each a declaration, a probe in C and a few lines that read its maps.

    from skep.tools import find

    with find("runqlat").open(pid=1234) as running:
        ...
        snapshot = running.snapshot()

Reading is separate from printing: `Tool.open` gives a `Running`, whose `snapshot()` returns plain
`Histogram` and `Table` values and whose `read()` returns rows; `skep.tools.loop` prints them.
"""

from __future__ import annotations

from skep.errors import NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.tools.frame import Tool

# What `skep --help` lists. Kept here, so that listing the tools does not import them; the tests
# hold it equal to each tool's own `summary`.
SUMMARIES = {
    "execsnoop": "programs that start, with arguments, exit code and duration",
    "funclatency": "how long a user-space function takes, as a histogram",
    "runqlat": "how long tasks wait for a CPU, as a histogram",
    "syscount": "system calls: counts, failures and latency",
}


def find(name: str) -> Tool:
    """Return the tool called *name*. Raises `NotFoundError`."""
    if name not in SUMMARIES:
        raise NotFoundError(
            f"there is no tool {name!r}", hint=f"there are {', '.join(SUMMARIES)}", name=name
        )
    from importlib import import_module

    tool: Tool = import_module(f"skep.tools.{name}").tool
    return tool
