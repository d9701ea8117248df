"""Which helpers the running kernel offers to which type of program: found out by trying.

A program of two instructions that calls the helper is given to the verifier. It looks the helper
up before it looks at the arguments, so what it complains about says whether there is one. The
words are those of check_helper_call (kernel/bpf/verifier.c): "invalid func" for a number that the
kernel does not know, "unknown func" (before Linux 6.11) and "program of this type cannot use
helper" for one that the type does not get.
"""

from __future__ import annotations

from struct import pack

from skep.errors import KernelError, PrivilegeError
from skep.kernel import bpf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.kernel.constants import ProgramType

_EXIT = pack("=Q", 0x95)
_NO = ("invalid func ", "unknown func ", "program of this type cannot use helper")
_LOG = 1 << 12

_known: dict[tuple[int, int, int, int, int], bool | None] = {}


def helper_available(
    type: ProgramType | int,
    helper: int,
    *,
    attach_type: int = 0,
    attach_btf_id: int = 0,
    flags: int = 0,
) -> bool | None:
    """Whether programs of *type* may call the helper number *helper* on this kernel.

    None when that cannot be found out: this process may not load such programs, or the type wants
    more than is given (tracing and LSM programs need *attach_type* and *attach_btf_id*, others may
    offer more for some *attach_type*). Answers are cached; None for a lack of privileges is not.
    Takes about 50 us. Safe from several threads.
    """
    key = (int(type), helper, int(attach_type), attach_btf_id, int(flags))
    if key not in _known:
        try:
            _known[key] = _try(*key)
        except PrivilegeError:
            return None
    return _known[key]


def _try(type: int, helper: int, attach_type: int, attach_btf_id: int, flags: int) -> bool | None:
    log = bytearray(_LOG)
    call = pack("=BBhi", 0x85, 0, 0, helper)
    try:
        bpf.prog_load(
            type=type,
            insns=call + _EXIT,
            license="GPL",
            expected_attach_type=attach_type,
            attach_btf_id=attach_btf_id,
            flags=flags,
            log_level=1,
            log_buffer=log,
        ).close()
    except PrivilegeError:
        raise
    except KernelError:
        text = log[: max(log.find(0), 0)].decode("utf-8", "replace")
        if any(words in text for words in _NO):
            return False
        # What the verifier shows first is the state and the call: it got as far as that.
        return True if "call " in text else None
    return True
