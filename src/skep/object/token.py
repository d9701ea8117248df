"""BPF tokens: the right to use bpf(2), handed down by whoever mounted a bpffs for it.

A process in a user namespace has no capabilities that bpf(2) honours. An administrator may mount a
bpf file system in that namespace with the options delegate_cmds, delegate_maps, delegate_progs and
delegate_attachs; from it the process makes a token, which stands for the capabilities in calls that
it is given to (Linux 6.9, "bpf: Introduce BPF token object").
"""

from __future__ import annotations

import errno
import os

from skep.errors import KernelError, LoadError, NotFoundError
from skep.kernel import bpf
from skep.kernel.fd import FD
from skep.object.loading import TOKEN_VARIABLES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.object.loading import Token

_MEANING = {
    errno.EINVAL: "it is no bpf file system",
    errno.ENOENT: "it was mounted without delegating anything",
    errno.EOPNOTSUPP: "it was mounted in the initial user namespace, where tokens make no sense",
    errno.EPERM: "it belongs to another user namespace, or CAP_BPF is missing in this one",
}
_HINT = "mount -t bpf -o delegate_cmds=any,delegate_maps=any,delegate_progs=any none DIR"


def find_token(given: Token) -> tuple[FD | None, bool]:
    """Return the token to load with, and whether the caller must close it.

    *given* is a token, the path of a bpffs, or None: then the environment may name the path
    (`SKEP_BPF_TOKEN`, and `LIBBPF_BPF_TOKEN_PATH` as for libbpf); an empty one means no token.
    Raises `NotFoundError` when there is no such path, `LoadError` when no token can be made.
    """
    if isinstance(given, FD):
        return given, False
    named = ""
    if given is None:
        named = next(name for name in TOKEN_VARIABLES if name in os.environ)
        given = os.environ[named]
        if not given:
            return None, False
    return create_token(given, named), True


def create_token(path: str | os.PathLike[str], named: str = "") -> FD:
    """Make a token from the bpffs mounted at *path*; the caller closes it.

    *named* is the environment variable that the path is from. Raises like `find_token`.
    """
    text = os.fspath(path)
    source = f" (from {named})" if named else ""
    try:
        number = os.open(text, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        message = f"no BPF token can be made from {text}{source}: {error.strerror}"
        raise NotFoundError(message, hint=_HINT, name=text, where=text) from error
    with FD(number, f"bpffs at {text}") as folder:
        try:
            return bpf.token_create(folder)
        except KernelError as error:
            code = error.errno or 0
            why = _MEANING.get(code, error.message)
            raise LoadError(
                f"no BPF token can be made from {text}{source}: {why}",
                errno=code,
                hint=_HINT,
                call="BPF_TOKEN_CREATE",
                name=text,
                kind="token",
            ) from error
