"""Trying an object out: load it, note what the kernel said of each program, and let it go."""

from __future__ import annotations

from skep.errors import NoBtfError, SkepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Mapping
    from typing import Any

    from skep.btf.btf import Btf
    from skep.btf.target import Target
    from skep.object.spec import ObjectSpec
    from skep.programs.spec import ProgramSpec


class Result:
    """What became of one program.

    `loaded` says whether the kernel took it; then `verified_instructions` counts the instructions
    that the verifier looked at on all paths (0 before Linux 5.16) and `tag` is the kernel's digest
    of the program in hexadecimal. `error` says why it did not, and is None for a program that was
    not to be loaded, which `left_out` tells.
    """

    __slots__ = ("error", "left_out", "loaded", "name", "section", "tag", "verified_instructions")

    def __init__(self, name: str, section: str) -> None:
        self.name = name
        self.section = section
        self.loaded = False
        self.left_out = False
        self.verified_instructions: int | None = None
        self.tag: str | None = None
        self.error: SkepError | None = None

    def __repr__(self) -> str:
        return f"<Result {self.name!r}: {self.word}>"

    @property
    def word(self) -> str:
        """The result in a word or two: "loaded", "failed", "left out"."""
        return "loaded" if self.loaded else "left out" if self.left_out else "failed"

    @property
    def log(self) -> str:
        """The verifier's whole log of a program that failed, "" where there is none."""
        return str(getattr(self.error, "log", ""))

    def as_dict(self) -> dict[str, Any]:
        """Return the result for JSON; docs/commands.md promises the keys."""
        return {
            "name": self.name,
            "loaded": self.loaded,
            "verified_instructions": self.verified_instructions,
            "tag": self.tag,
            "error": None if self.error is None else str(self.error),
        }


class Report:
    """What `check` found: `programs`, a `Result` for each of the object's, in its order.

    `target` is the BTF that CO-RE relocations were resolved against, one without `btf` when there
    is none to be had, and None when no program has relocations or none got that far. `error` is
    the failure that concerned the whole object, a refused map for instance; programs that were to
    be loaded then have it as theirs.
    """

    __slots__ = ("error", "name", "programs", "target")

    def __init__(self, name: str, programs: list[Result]) -> None:
        self.name = name
        self.programs = programs
        self.target: Target | None = None
        self.error: SkepError | None = None

    @property
    def loaded(self) -> bool:
        """Whether everything that was to be loaded was."""
        return self.error is None and all(one.loaded or one.left_out for one in self.programs)

    def __repr__(self) -> str:
        count = sum(one.loaded for one in self.programs)
        return f"<Report {self.name}: {count} of {len(self.programs)} programs loaded>"

    def as_dict(self) -> dict[str, Any]:
        """Return the report for JSON; docs/commands.md promises the keys."""
        return {
            "loaded": self.loaded,
            "programs": [one.as_dict() for one in self.programs],
            "btf": describe_target(self.target),
            "error": None if self.error is None else str(self.error),
        }


def check(
    spec: ObjectSpec,
    *,
    btf: Btf | str | os.PathLike[str] | None = None,
    programs: Callable[[ProgramSpec], bool] | Collection[str] | None = None,
    log_level: int = 0,
) -> Report:
    """Load *spec* without attaching anything, and report on every program.

    The arguments are those of `ObjectSpec.load`. Maps are created anew: nothing is pinned, and
    what is pinned is not touched. When this returns, nothing is left in the kernel. A failure of
    the whole object is in the report, not raised.
    """
    from skep.object.load import attempt

    spec = spec.copy()
    for each in spec.maps.values():
        each.pinning = "none"
    report = Report(spec.name, [Result(one.name, one.section) for one in spec.programs.values()])
    failures: Mapping[str, SkepError] = {}
    try:
        live, failures = attempt(
            spec, btf=btf, programs=programs, log_level=log_level, reuse_maps={}
        )
    except SkepError as error:
        report.error = error
        if isinstance(error, NoBtfError):
            from skep.btf.target import Target

            report.target = Target(None, "none", "", tuple(error.evidence.get("tried", ())))
        wanted = _wanted(spec, programs)
        for one in report.programs:
            one.left_out = one.name not in wanted
            one.error = None if one.left_out else error
        return report
    with live:
        report.target = live.target
        for one in report.programs:
            program = dict.get(live.programs, one.name)
            if program is None:
                one.error = failures.get(one.name)
                one.left_out = one.error is None
                continue
            info = program.info
            one.loaded = True
            one.verified_instructions = info.verified_instructions
            one.tag = info.tag
    return report


def _wanted(
    spec: ObjectSpec, programs: Callable[[ProgramSpec], bool] | Collection[str] | None
) -> set[str]:
    """Return the names of the programs that were to be loaded."""
    if programs is None:
        return {one.name for one in spec.programs.values() if one.autoload}
    if callable(programs):
        return {one.name for one in spec.programs.values() if programs(one)}
    return set(programs)


def describe_target(target: Target | None) -> dict[str, Any]:
    """Return which BTF was chosen, and what was tried before, for JSON."""
    if target is None:
        return {"source": None, "path": None, "tried": []}
    return {
        "source": target.source,
        "path": target.path or None,
        "tried": [{"path": path or None, "reason": reason} for path, reason in target.tried],
    }
