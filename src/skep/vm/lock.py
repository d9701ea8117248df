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
    """Hold the cache folder *cache*, made when missing; other processes and threads wait."""
    os.makedirs(cache, exist_ok=True)
    with open(os.path.join(cache, ".lock"), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
