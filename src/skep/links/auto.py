"""`attach`: attaches a program to what its section name says."""

from __future__ import annotations

from skep.errors import NotFoundError, UnsupportedError
from skep.programs.sections import parse_section

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.links.attachable import Attachable
    from skep.links.link import Link


def attach(program: Attachable) -> Link:
    """Attach *program* as its section name says, in libbpf's notation.

    ``tracepoint/CATEGORY/NAME``, ``tp/...``; ``raw_tp/NAME``, ``raw_tracepoint/...`` and their
    ``.w`` forms; ``tp_btf/NAME``, ``fentry/NAME``, ``fexit/...``, ``fmod_ret/...``,
    ``lsm/HOOK``, ``freplace/FUNCTION``;
    ``uprobe/BINARY:SYMBOL[+OFFSET]``, ``uretprobe/...`` and their ``.s`` forms;
    ``uprobe.multi/BINARY:PATTERN``, ``uretprobe.multi/...``, ``uprobe.session/...``.

    A program whose `attach_to` was changed goes there instead.

    Raises `UnsupportedError` for a section that does not say enough (``perf_event``, ``uprobe``
    alone) or whose kind skep cannot attach, and whatever the function of the kind raises.
    """
    meant = parse_section(program.section)
    target = program.attach_to or meant.target
    kind, _, variant = meant.prefix.partition(".")
    if kind in {"tracepoint", "tp"} and "/" in target:
        from skep.links.tracepoints import tracepoint

        category, _, name = target.partition("/")
        return tracepoint(program, category, name)
    if kind in {"raw_tracepoint", "raw_tp"} and target:
        from skep.links.raw_tracepoints import raw_tracepoint

        return raw_tracepoint(program, target)
    if kind in {"tp_btf", "fentry", "fexit", "fmod_ret", "fsession", "lsm", "freplace"} and target:
        from skep.links.btf_tracing import tracing

        return tracing(program)
    if kind in {"uprobe", "uretprobe"} and target:
        return _uprobe(program, target, retprobe=kind == "uretprobe", variant=variant)
    raise UnsupportedError(
        f'program {program.name!r} cannot be attached from its section name "{program.section}"',
        hint=_HINTS.get(kind, "attach it with a function of skep.links, giving its target"),
        feature=kind,
        program=program.name,
        target=target,
    )


_HINTS = {
    "perf_event": "skep.links.perf_event(program, 'cpu-clock', frequency=99) attaches it",
    "uprobe": 'write "uprobe/BINARY:SYMBOL", or call skep.links.uprobe(program, BINARY, symbol=)',
    "uretprobe": 'write "uretprobe/BINARY:SYMBOL", or call skep.links.uprobe(..., retprobe=True)',
    "tracepoint": 'write "tracepoint/CATEGORY/NAME", e.g. "tracepoint/sched/sched_switch"',
    "tp": 'write "tp/CATEGORY/NAME", e.g. "tp/sched/sched_switch"',
}


def _uprobe(program: Attachable, target: str, *, retprobe: bool, variant: str) -> Link:
    # The last colon: a path may contain others, a symbol of C or of Go's linker may not.
    binary, colon, place = target.rpartition(":")
    if not colon or not binary or not place:
        raise NotFoundError(
            f'section "{program.section}" of program {program.name!r} names no symbol',
            hint="the form is uprobe/BINARY:SYMBOL, with an optional +OFFSET",
            name=target,
            where=program.section,
            program=program.name,
            target=target,
        )
    mode = variant.partition(".")[0]
    if mode in {"multi", "session"}:
        from skep.links.multi_uprobes import uprobe_multi

        return uprobe_multi(
            program, binary, symbols=[place], retprobe=retprobe, session=mode == "session"
        )
    from skep.links.uprobes import uprobe

    symbol, offset = split_offset(place)
    return uprobe(program, binary, symbol=symbol, offset=offset, retprobe=retprobe)


def split_offset(place: str) -> tuple[str | None, int]:
    """Split ``SYMBOL+OFFSET`` (hexadecimal with 0x, or decimal); a bare number is an offset."""
    symbol, plus, digits = place.rpartition("+")
    if not plus:
        symbol, digits = "", place
    try:
        offset = int(digits, 0)
    except ValueError:
        return place, 0
    return symbol or None, offset
