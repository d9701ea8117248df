"""Attaching programs: one function per kind, all of them returning a `Link`.

`attach` goes by the section name; the others take their target as arguments. A link keeps its
program attached until it is closed, or the process ends.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.links.auto import attach as attach
    from skep.links.btf_tracing import tracing as tracing
    from skep.links.link import Link as Link
    from skep.links.link import LinkInfo as LinkInfo
    from skep.links.link import Links as Links
    from skep.links.multi_uprobes import uprobe_multi as uprobe_multi
    from skep.links.perf_events import perf_event as perf_event
    from skep.links.raw_tracepoints import raw_tracepoint as raw_tracepoint
    from skep.links.tracepoints import tracepoint as tracepoint
    from skep.links.uprobes import uprobe as uprobe

__all__ = [
    "Link",
    "LinkInfo",
    "Links",
    "attach",
    "perf_event",
    "raw_tracepoint",
    "tracepoint",
    "tracing",
    "uprobe",
    "uprobe_multi",
]

_MODULES = {
    "Link": "link",
    "LinkInfo": "link",
    "Links": "link",
    "attach": "auto",
    "perf_event": "perf_events",
    "raw_tracepoint": "raw_tracepoints",
    "tracepoint": "tracepoints",
    "tracing": "btf_tracing",
    "uprobe": "uprobes",
    "uprobe_multi": "multi_uprobes",
}


def __getattr__(name: str) -> Any:
    """Import a kind when it is first used: a program that attaches one kind pays for one."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value
