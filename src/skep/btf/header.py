"""What surrounds the types of a BTF blob: its header, and where its two sections lie.

Format: `struct btf_header` of Linux `include/uapi/linux/btf.h`.
"""

from __future__ import annotations

import sys
from struct import Struct

from skep.btf.search import Memory
from skep.errors import BtfError

MAGIC = 0xEB9F
HEADER_SIZE = 24
_HEADER = {"little": Struct("<HBBIIIII"), "big": Struct(">HBBIIIII")}


def native(types: Memory, byteorder: str) -> Memory:
    """Return the type section in this machine's byte order."""
    if byteorder == sys.byteorder:
        return types
    from array import array

    words = array("I", types.data.tobytes())
    words.byteswap()
    return Memory(memoryview(words).cast("B"), words.buffer_info()[0])


def sections(data: memoryview, name: str) -> tuple[str, tuple[int, int], tuple[int, int]]:
    """Return the byte order of a blob, and where its types and its strings start and end."""
    what = f"BTF of {name}" if name else "BTF"
    if len(data) < HEADER_SIZE:
        raise BtfError(
            f"{what} is truncated: {len(data)} bytes, a header has {HEADER_SIZE}", source=name
        )
    magic = int.from_bytes(data[:2], "little")
    if magic == MAGIC:
        byteorder = "little"
    elif magic == 0x9FEB:
        byteorder = "big"
    else:
        raise BtfError(f"{what} does not start with the BTF magic number", source=name, offset=0)
    header = _HEADER[byteorder].unpack_from(data)
    _, version, _flags, header_len, type_off, type_len, str_off, str_len = header
    if version != 1:
        raise BtfError(f"{what} has version {version}; only version 1 exists", source=name)
    # A longer header is a newer one; what it adds is not needed to read the types.
    if header_len < HEADER_SIZE or header_len > len(data):
        raise BtfError(f"{what} claims a header of {header_len} bytes", source=name)
    room = len(data) - header_len
    if type_off % 4 or type_len % 4:
        raise BtfError(f"{what} has an unaligned type section", source=name)
    if type_off + type_len > room or str_off + str_len > room:
        raise BtfError(
            f"{what} is truncated: its sections end past its {len(data)} bytes", source=name
        )
    types, strings = header_len + type_off, header_len + str_off
    return byteorder, (types, types + type_len), (strings, strings + str_len)


def is_split(data: bytes | bytearray | memoryview) -> bool:
    """Whether a blob continues another one: its strings do not start with the empty one.

    Raises `BtfError` for what is no BTF.
    """
    view = memoryview(data).cast("B")
    _, _, (start, end) = sections(view, "")
    return start == end or view[start] != 0
