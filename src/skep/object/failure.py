"""When the kernel refuses an object's BTF: an older form, or the reason. Imported only then."""

from __future__ import annotations

from skep.errors import KernelError, LoadError
from skep.kernel import bpf
from skep.object.btf_layout import downgraded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.btf.btf import Btf
    from skep.kernel.fd import FD

_LOG = 1 << 20


def load_older_btf(btf: Btf, name: str, error: KernelError) -> tuple[FD | None, LoadError | None]:
    """Try *btf* without the kinds that older kernels lack; return it loaded, or why not.

    *name* is the object's, *error* the refusal of the blob as it is.
    """
    data = btf.raw
    older = downgraded(btf)
    if older is not None:
        try:
            return bpf.btf_load(older), None
        except KernelError as again:
            data, error = older, again
    buffer = bytearray(_LOG)
    try:
        return bpf.btf_load(data, log_level=1, log_buffer=buffer), None
    except KernelError:
        log = buffer[: max(buffer.find(0), 0)].decode("utf-8", "replace")
    lines = [line for line in log.splitlines() if line.strip()]
    reason = lines[-1].strip() if lines else error.message
    return None, LoadError(
        f"the kernel refused the BTF of {name}: {reason}",
        errno=error.errno or 0,
        call="BPF_BTF_LOAD",
        name=name,
        kind="btf",
        log=log,
    )
