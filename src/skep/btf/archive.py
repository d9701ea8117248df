"""The one file in a compressed archive, as BTFHub keeps them: a tar with one `.btf`, in xz.

Nothing is written to disk, and an archive that grows beyond a bound is given up.
"""

from __future__ import annotations

import lzma
import tarfile

from skep.errors import BtfError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO


def member(file: BinaryIO, name: str, limit: int) -> bytes:
    """Return the bytes of the first `.btf` in an open `.tar.xz`; raises `BtfError`.

    *name* is what errors call the archive, *limit* the most bytes that the member may have.
    """
    try:
        # As a stream: members are met in order, and nothing before the wanted one is kept.
        with tarfile.open(fileobj=file, mode="r|xz") as archive:
            for entry in archive:
                if not entry.isfile() or not entry.name.endswith(".btf"):
                    continue
                if entry.size > limit:
                    raise BtfError(f"{name} has a file of {entry.size} bytes", source=name)
                content = archive.extractfile(entry)
                data = b"" if content is None else content.read(limit + 1)
                if len(data) != entry.size:
                    raise BtfError(f"{name} is truncated", source=name)
                return data
    except (tarfile.TarError, lzma.LZMAError, EOFError) as error:
        raise BtfError(f"{name} is no .tar.xz archive: {error}", source=name) from error
    raise BtfError(f"{name} has no file whose name ends in .btf", source=name)
