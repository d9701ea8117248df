"""Turns a refused attachment into one sentence naming the program, the target and what to do.

The kernel answers an attachment with a bare errno whose meaning depends on the kind of link.
`attaching` is the one place where errnos become words; each kind adds its own meanings.
"""

from __future__ import annotations

import errno

from skep.errors import (
    AttachError,
    KernelError,
    NotFoundError,
    PrivilegeError,
    SkepError,
    UnsupportedError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from types import TracebackType
    from typing import Any, Self

    from skep.links.attachable import Attachable

ENOTSUPP = 524  # include/linux/errno.h: internal to the kernel, yet returned by perf and bpf

_MEANING: dict[int, tuple[str, str]] = {
    errno.EEXIST: (
        "it is already attached there",
        "close the other link first, or load the object a second time",
    ),
    errno.EBUSY: (
        "the target is held exclusively by another user",
        "`bpftool link` and `bpftool perf` show which; detach it first",
    ),
    # BPF_TRACE_MAX_PROGS (kernel/trace/bpf_trace.c)
    errno.E2BIG: (
        "64 programs are attached there, which is the most the kernel allows",
        "`bpftool link` and `bpftool perf` show them; detach one first",
    ),
    errno.EMFILE: ("this process has no file descriptor left", "raise the limit: ulimit -n 65536"),
    errno.ENFILE: ("the machine has no file descriptor left", "raise fs.file-max with sysctl"),
    errno.ENOMEM: ("the kernel has no memory for it", "close links or maps that are not needed"),
    errno.EINVAL: ("the kernel finds the request invalid", ""),
}


class attaching:  # noqa: N801 - reads as a verb: `with attaching(program, to=...)`
    """Context manager: every skep error raised inside names *program* and the target *to*.

    *needs* are the capabilities the kind asks for, checked when the kernel says EPERM or
    EACCES; *meaning* adds to the errno table ``{errno: (what is wrong, what to do)}``; *pid* is
    the process of the target, if it has one. What comes out is `NotFoundError`,
    `PrivilegeError`, `UnsupportedError`, `AttachError`, or the error that went in, reworded.
    """

    def __init__(
        self,
        program: Attachable,
        *,
        to: str,
        needs: tuple[str, ...] = (),
        meaning: Mapping[int, tuple[str, str]] | None = None,
        pid: int | None = None,
    ) -> None:
        self.program, self.to, self.needs, self.pid = program, to, needs, pid
        self.meaning = meaning or {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, SkepError) and "program" not in error.evidence:
            raise self.reword(error) from error

    def reword(self, error: SkepError) -> SkepError:
        """Return the error to raise in place of *error*."""
        start = f"program {self.program.name!r} could not be attached to {self.to}"
        named = {**error.evidence, "program": self.program.name, "target": self.to}
        number = error.evidence.get("errno", 0)
        if number in self.meaning and "minimum" not in named:  # not a `Feature`'s own sentence
            what, hint = self.meaning[number]
            return AttachError(f"{start}: {what}", hint=hint, **named)
        if not isinstance(error, KernelError):
            return type(error)(f"{start}: {error.message}", hint=error.hint, **named)
        if number in {errno.EPERM, errno.EACCES}:
            return self._refused(error, named)
        if number == errno.ESRCH and self.pid is not None:
            return NotFoundError(
                f"{start}: no process has the id {self.pid}",
                hint="it has ended, or lives in another pid namespace",
                **{**named, "name": str(self.pid), "where": "/proc"},
            )
        if number in {ENOTSUPP, errno.EOPNOTSUPP}:
            named["feature"] = self.to
            return UnsupportedError(f"{start}: this kernel cannot do it", **named)
        what, hint = _MEANING.get(number, (error.message, error.hint))
        return AttachError(f"{start}: {what}", hint=hint, **named)

    def _refused(self, error: KernelError, named: dict[str, Any]) -> SkepError:
        """EPERM and EACCES: a missing capability, or a policy that privilege does not lift."""
        from skep.kernel.capabilities import explain_eperm

        needs, hint = self.needs, ""
        if named.get("call") == "open":  # tracefs, which may need more where it is not mounted
            needs += tuple(need for need in named.get("needs", ()) if need not in needs)
        elif named.get("call") == "perf_event_open" and named.get("needs"):
            # What is enough depends on the event and on a sysctl, and was looked at.
            needs, hint = named["needs"], error.hint
        what = f"attaching program {self.program.name!r} to {self.to}"
        why = explain_eperm(str(named.get("call", "")), what, needs, errno=named["errno"])
        named |= {"needs": needs, "missing": why.evidence["missing"]}
        if isinstance(why, PrivilegeError):
            evidence = {**named, "capability": why.capability}
            return PrivilegeError(why.message, hint=hint or why.hint, **evidence)
        return AttachError(why.message, hint=why.hint, **named)


def require_type(
    program: Attachable,
    to: str,
    *,
    types: Collection[int],
    attach_types: Collection[int] | None = None,
    sections: str,
) -> None:
    """Raise `AttachError` (EINVAL) unless *program* is of a kind that can be attached *to* there.

    The kernel only says EINVAL for this, the most common mistake. *sections* are the section
    names to recommend.
    """
    if program.type in types and (
        attach_types is None or program.expected_attach_type in attach_types
    ):
        return
    raise AttachError(
        f"program {program.name!r} could not be attached to {to}:"
        f" it was loaded as {_described(program)}",
        hint=f"put it into a section such as {sections}",
        errno=errno.EINVAL,
        program=program.name,
        target=to,
    )


def _described(program: Attachable) -> str:
    section = getattr(program, "section", "")
    kind = getattr(program.type, "name", program.type)
    return f'type {kind} from section "{section}"' if section else f"type {kind}"
