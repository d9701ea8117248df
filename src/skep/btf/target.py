"""Which kernel's types an object is fitted to: the BTF that CO-RE questions are asked of.

Usually the running kernel's, from sysfs. Kernels built without BTF are served by a file made for
them; where all that is looked for is in `skep.btf.places`, which only they need.
"""

from __future__ import annotations

import os

from skep.btf import kernel
from skep.errors import BtfError, NoBtfError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, NoReturn

    from skep.btf.btf import Btf

    Source = Literal["sysfs", "boot", "file", "directory", "shipped", "none", "given"]

VARIABLE = "SKEP_BTF"


class Target:
    """The BTF that was chosen, and why.

    `btf` is None when there is none. `source` says where it came from: "sysfs" (the kernel itself),
    "boot" (a file that a package of this kernel installed), "file" or "directory" (named by the
    user), "shipped" (beside the object), "given" (a `Btf` handed over) or "none". `path` is the
    file, "" without one. `tried` lists what was looked at before, as (path, why not).
    """

    __slots__ = ("btf", "path", "source", "tried")

    def __init__(
        self,
        btf: Btf | None,
        source: Source,
        path: str = "",
        tried: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.btf = btf
        self.source: Source = source
        self.path = path
        self.tried = tried

    @classmethod
    def given(cls, btf: Btf) -> Target:
        """Return the target for a `Btf` that the caller has."""
        return cls(btf, "given", btf.name)

    @property
    def is_kernels_own(self) -> bool:
        """Whether this is the running kernel's whole BTF, whose type ids the kernel knows."""
        return self.source in ("sysfs", "boot")

    def require(self) -> Btf:
        """Return the BTF; raises `NoBtfError` with everything that was tried."""
        if self.btf is None:
            _refuse(self)
        return self.btf

    def __repr__(self) -> str:
        return f"<Target {self.source}{f' {self.path}' if self.path else ''}>"


def find_target(mode: str | os.PathLike[str] | None = None, *, near: str | None = None) -> Target:
    """Find the BTF to relocate against.

    *mode* is "sysfs" (nothing but the kernel itself), "none", the path of a file (BTF, or an ELF
    file with it), the path of a directory (as BTFHub arranges them, or with `RELEASE.btf` files),
    or "auto": sysfs, then the places where packages put it, then what lies beside the object file
    *near*. None means the environment variable `SKEP_BTF`, or "auto" without it.

    "auto" and "none" may end without BTF (`Target.require()` says so when it is needed). Anything
    else that cannot be had is a `NoBtfError`; a file that is not BTF a `BtfError`. Thread-safe.
    """
    named = ""
    if mode is None:
        mode = os.environ.get(VARIABLE, "")
        named = VARIABLE if mode else ""
        mode = mode or "auto"
    if mode == "none":
        why = f"{VARIABLE} is none" if named else "none was asked for"
        return Target(None, "none", "", (("", why),))
    tried: list[tuple[str, str]] = []
    if mode in ("auto", "sysfs"):
        try:
            return Target(kernel.sysfs_btf(), "sysfs", kernel.VMLINUX)
        except OSError as error:
            tried.append((kernel.VMLINUX, error.strerror or str(error)))
        except BtfError as error:
            tried.append((kernel.VMLINUX, error.message))
        if mode == "sysfs":
            _refuse(Target(None, "none", "", tuple(tried)))
    from skep.btf import places

    if mode != "auto":
        return places.named(os.fspath(mode), named)
    return places.search(near, tried)


def _refuse(target: Target) -> NoReturn:
    """Say that there is no BTF, and all that was tried: equal reasons once."""
    reasons: dict[str, list[str]] = {}
    for path, reason in target.tried:
        reasons.setdefault(reason, []).append(path)
    what = "; ".join(
        f"{', '.join(paths)}: {reason}" if any(paths) else reason
        for reason, paths in reasons.items()
    )
    raise NoBtfError(
        f"there is no BTF of this kernel: {what}",
        hint=f"use a kernel built with CONFIG_DEBUG_INFO_BTF=y, or set {VARIABLE} to a BTF file"
        " made for this kernel",
        name="vmlinux",
        where=target.tried[-1][0] if target.tried else "",
        tried=target.tried,
    )
