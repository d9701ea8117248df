"""One process at a time fills the cache."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def locked(cache: str) -> Iterator[None]:
    """Hold the cache folder *cache*, made when missing; other processes and threads wait.

    Another user's cache can be held as well, to look into it.
    """
    os.makedirs(cache, exist_ok=True)
    number = os.open(os.path.join(cache, ".lock"), os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)
