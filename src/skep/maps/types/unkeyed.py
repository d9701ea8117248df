"""Types for maps without keys: queues and stacks.

The kernel takes types of a map only together with the type of its key (``map_check_btf``; bloom
filters and rings are excepted), and checks that it has the size of the key, which is 0 here. An
empty struct has that size. So a queue that was made from an object or in Python keeps its types
when it is opened again by its pin or id.
"""

from __future__ import annotations

from skep.btf import types as t
from skep.btf.writer import Builder
from skep.errors import SkepError
from skep.kernel import bpf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.btf.btf import Btf
    from skep.kernel.fd import FD
    from skep.maps.spec import MapSpec

_KEY = 1  # ids in the blob made here
_VALUE = 2


def load(spec: MapSpec, token: FD | None) -> tuple[FD, int, int] | None:
    """Load BTF for *spec*: its value and an empty key. Returns it, and the ids of key and value.

    None when the kernel does not take it: types are an extra.
    """
    assert spec.btf is not None
    try:
        return bpf.btf_load(blob(spec.btf, spec.value_type_id), token_fd=token), _KEY, _VALUE
    except SkepError:
        return None


def blob(btf: Btf, type_id: int) -> bytes:
    """Return BTF of an empty struct, *type_id* of *btf*, and all that this mentions."""
    builder = Builder(btf.byteorder)
    builder.struct("no_key", 0, [])
    numbers = {0: 0, type_id: _VALUE}
    waiting = [type_id]

    def number(id: int) -> int:
        if id not in numbers:
            numbers[id] = len(numbers) + 1  # void has none, the key the first
            waiting.append(id)
        return numbers[id]

    for id in waiting:  # which grows
        builder.add(btf.type(id), number)
    for id in range(1, len(btf)):
        tag = btf.type(id)
        if isinstance(tag, t.DeclTag) and tag.type_id in numbers:
            builder.add(tag, number)
    return builder.build()
