"""What is left out, or replaced, for kernels that are older than what a program uses.

Nothing is asked of a kernel that takes the program as it is. Only when one refuses it are its
features looked at, and what it lacks and the program can do without is taken away.
"""

from __future__ import annotations

from skep.asm.instruction import CALL, SIZE
from skep.kernel.constants import ProgramType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from skep.programs.spec import ProgramSpec

# Helpers of Linux 5.5 that read kernel memory, and what read any memory before: the same
# arguments, the same result (kernel/trace/bpf_trace.c).
_OLDER_HELPERS = {113: 4, 115: 45}  # probe_read_kernel[_str] -> probe_read[_str]

# Types whose attach type was checked from the start; for others it may be left out before
# Linux 4.17, as there was only one place to attach to.
_NEEDED = frozenset(
    {
        ProgramType.CGROUP_SOCK_ADDR, ProgramType.CGROUP_SOCKOPT, ProgramType.SK_LOOKUP,
        ProgramType.TRACING, ProgramType.LSM, ProgramType.EXT, ProgramType.STRUCT_OPS,
    }
)  # fmt: skip


def adapted(
    spec: ProgramSpec,
    arguments: dict[str, Any],
    log: str,
    has: Callable[[str], bool] | None = None,
) -> dict[str, Any] | None:
    """Return *arguments* of BPF_PROG_LOAD made fit for an older kernel; None when nothing helps.

    *log* is what the verifier said; *has* tells whether the kernel has a feature.
    """
    if has is None:
        from skep.kernel.features import available

        has = available
    changes: dict[str, Any] = {}
    if "unknown func" in log or "invalid func" in log:
        # The verifier ran, so it is not the arguments.
        insns = without_new_reads(arguments["insns"])
        if insns != arguments["insns"]:
            changes["insns"] = insns
    elif not log:
        if arguments.get("name") and not has("object_names"):
            changes["name"] = ""
        if arguments.get("btf_fd") is not None and not has("btf_func"):
            changes |= {"btf_fd": None, "func_info": b"", "line_info": b""}
        # The version was looked at until Linux 5.0, which is when functions came to BTF.
        unnamed = spec.type == ProgramType.KPROBE and not arguments.get("kern_version")
        if unnamed and not has("btf_func"):
            from skep.kernel.release import version_code

            changes["kern_version"] = version_code()
        if (
            arguments.get("expected_attach_type")
            and spec.type not in _NEEDED
            and not has("expected_attach_type")
        ):
            changes["expected_attach_type"] = 0
    return {**arguments, **changes} if changes else None


def without_new_reads(insns: bytes) -> bytes:
    """Return *insns* with the helpers that Linux 5.5 brought in replaced by their forerunners."""
    import sys

    code = bytearray(insns)
    for at in range(0, len(code), SIZE):
        if code[at] != CALL or code[at + 1]:
            continue  # a register there makes it a call of something else
        older = _OLDER_HELPERS.get(int.from_bytes(code[at + 4 : at + SIZE], sys.byteorder))
        if older is not None:
            code[at + 4 : at + SIZE] = older.to_bytes(4, sys.byteorder)
    return bytes(code)
