"""`Link`: one program attached to one target, and `Links`, several that close together.

A link is either a *bpf_link* of the kernel (it can be pinned and listed) or, on kernels before
5.15, a perf event with the program set by ioctl. Both end with the file descriptor, so nothing
stays attached after the process dies, however it dies, unless it was pinned.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from skep.errors import AttachError, ClosedError, KernelError, UnsupportedError
from skep.kernel import bpf
from skep.owner import Closing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, overload

    from skep.kernel.fd import FD
    from skep.links.attachable import Attachable


class LinkInfo:
    """What is known of a link, without the link: plain values, safe to keep.

    `mechanism` is ``"bpf_link"`` or ``"perf_ioctl"``; `id` is None for the latter, which the
    kernel does not number; `pid` is None when every process is meant; `offsets` are the places of
    a probe in its file, and `cookies`, one for each place, what `bpf_get_attach_cookie()` returns
    there (empty: zero everywhere).
    """

    __slots__ = (
        "cookies", "id", "kind", "mechanism", "offsets", "pid", "program", "program_id", "target",
    )  # fmt: skip

    def __init__(self, link: Link) -> None:
        self.kind = link.kind
        self.mechanism = link.mechanism
        self.id = link.id
        self.program = link.program
        self.program_id = link.program_id
        self.target = link.target
        self.pid = link.pid
        self.cookies = link.cookies
        self.offsets = link.offsets

    def asdict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return {name: getattr(self, name) for name in self.__slots__}

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.asdict().items())
        return f"LinkInfo({fields})"


class Link(Closing):
    """One program attached to one target; a context manager that detaches at its end.

    `kind` names the function that made it, `program` the program, `target` what it is attached
    to. Made by the functions of `skep.links`. Not safe for use from several threads at once.
    """

    __slots__ = (
        "_fd", "_ids", "_pinned", "cookies", "kind", "mechanism", "offsets", "pid", "program",
        "target",
    )  # fmt: skip

    def __init__(
        self,
        fd: FD,
        program: Attachable,
        *,
        kind: str,
        target: str,
        mechanism: str = "bpf_link",
        pid: int | None = None,
        cookies: Sequence[int] = (),
        offsets: Sequence[int] = (),
    ) -> None:
        self._fd = fd
        self._ids: tuple[int | None, int] | None = None
        self._pinned = ""
        self.kind, self.target, self.mechanism = kind, target, mechanism
        self.pid, self.cookies, self.offsets = pid, tuple(cookies), tuple(offsets)
        self.program = program.name
        if mechanism != "bpf_link":
            # The kernel does not tell later which program a perf event has.
            self._ids = None, bpf.prog_info(program.fd).id
        fd.what = str(self)

    @property
    def id(self) -> int | None:
        """The kernel's number of the link; None where the mechanism has none."""
        return self._identity()[0]

    @property
    def program_id(self) -> int:
        """The kernel's number of the program."""
        return self._identity()[1]

    def _identity(self) -> tuple[int | None, int]:
        # Asked for on demand: attaching should cost one system call.
        if self._ids is None:
            self.fileno()
            info = bpf.link_info(self._fd)
            self._ids = info.id, info.prog_id
        return self._ids

    @property
    def info(self) -> LinkInfo:
        """Everything known of the link. Raises `ClosedError` once closed."""
        self.fileno()
        return LinkInfo(self)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._fd.closed

    def fileno(self) -> int:
        """Return the descriptor that keeps the program attached."""
        if self._fd.closed:
            raise ClosedError(f"the {self} is closed")
        return self._fd.fileno()

    def update(self, program: Attachable) -> None:
        """Replace the attached program in one step, losing no event.

        Raises `UnsupportedError` for kinds whose links the kernel cannot update: every tracing
        kind (their ``bpf_link_ops`` have no ``update_prog``).
        """
        self.fileno()
        try:
            if self.mechanism != "bpf_link":
                raise KernelError("no bpf_link", errno=errno.EINVAL, call="BPF_LINK_UPDATE")  # noqa: TRY301
            bpf.link_update(self._fd, program.fd)
        except KernelError as error:
            # link_update() says EINVAL when the kind has no update_prog (kernel/bpf/syscall.c).
            if error.errno not in {errno.EINVAL, errno.EOPNOTSUPP}:
                raise
            raise UnsupportedError(
                f"the kernel cannot replace the program of the {self}",
                hint="attach the new program, then close this link",
                feature="BPF_LINK_UPDATE",
                program=program.name,
                target=self.target,
            ) from error
        self.program, self._ids = program.name, None

    def pin(self, path: str) -> None:
        """Give the link a name in a bpf file system, where it outlives this process.

        Raises `UnsupportedError` when the mechanism has no bpf_link, `AttachError` when *path*
        exists or is not in a bpf file system.
        """
        self.fileno()
        if self.mechanism != "bpf_link":
            raise UnsupportedError(
                f"the {self} is a perf event, which cannot be pinned",
                hint="links of this kind can be pinned from Linux 5.15 on",
                feature="bpf_link",
            )
        try:
            bpf.obj_pin(self._fd, path)
        except KernelError as error:
            hints = {
                errno.EEXIST: "remove the file, or choose another name",
                errno.ENOENT: "create the folder first",
                # bpf_obj_do_pin(): EPERM when the folder is of another file system.
                errno.EPERM: "the folder must be in a bpf file system, e.g. /sys/fs/bpf",
            }
            raise AttachError(
                f"the {self} could not be pinned at {path}: {os.strerror(error.errno or 0)}",
                hint=hints.get(error.errno or 0, ""),
                errno=error.errno or 0,
                call="BPF_OBJ_PIN",
                program=self.program,
                target=path,
            ) from error
        self._pinned = path

    def unpin(self) -> None:
        """Remove the name given by `pin`; nothing happens when there is none (any more)."""
        if self._pinned:
            if os.path.lexists(self._pinned):
                os.unlink(self._pinned)
            self._pinned = ""

    def detach(self) -> None:
        """Detach now, for every holder of the link, and close it.

        `close` only gives up this process's hold: a pinned link stays attached. Kinds that the
        kernel cannot force off (all tracing kinds) are unpinned, where this object pinned them.
        """
        if self.closed:
            return
        if self.mechanism == "bpf_link":
            try:
                bpf.link_detach(self._fd)
            except KernelError as error:
                # link_detach() says EOPNOTSUPP when the kind has no detach operation.
                if error.errno not in {errno.EOPNOTSUPP, errno.EINVAL}:
                    raise
        self.unpin()
        self.close()

    def close(self) -> None:
        """Give up the link; it is detached unless it is pinned or held elsewhere. Idempotent.

        The kernel may wait for its readers meanwhile. Measured on 6.18: a single uprobe 120 ms, a
        tracepoint 80, a uprobe_multi link 24, a raw or BTF tracepoint and sampling 0.1.
        """
        self._fd.close()

    def __str__(self) -> str:
        return f"{self.kind} link of program {self.program!r} to {self.target}"

    def __repr__(self) -> str:
        state = " closed" if self.closed else ""
        return f"<skep.Link {self.kind} {self.program} -> {self.target}{state}>"


class Links(Closing, Sequence[Link]):
    """Links that belong together: a sequence, and a context manager that closes all of them.

    They close in reverse order of attachment. Not safe for use from several threads at once.
    """

    __slots__ = ("_links",)

    def __init__(self, links: Iterable[Link] = ()) -> None:
        """Take over every link that *links* yields; when it raises, none stays attached."""
        self._links: list[Link] = []
        try:
            for link in links:
                self._links.append(link)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close every link, last attached first, even when one of them fails. Idempotent."""
        failures: list[Exception] = []
        for link in reversed(self._links):
            try:
                link.close()
            except Exception as error:  # noqa: BLE001 - the others must close as well
                failures.append(error)
        if failures:
            raise ExceptionGroup("links failed to close", failures)

    def __len__(self) -> int:
        return len(self._links)

    if TYPE_CHECKING:

        @overload
        def __getitem__(self, index: int) -> Link: ...
        @overload
        def __getitem__(self, index: slice) -> Sequence[Link]: ...

    def __getitem__(self, index: int | slice) -> Link | Sequence[Link]:
        return self._links[index]

    def __repr__(self) -> str:
        return f"<skep.Links {self._links!r}>"
