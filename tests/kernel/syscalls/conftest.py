"""A child process without privileges, and a bpf file system."""

from __future__ import annotations

import pytest
from unprivileged import Dropped, in_child


@pytest.fixture
def dropped() -> Dropped:
    """Run code in a forked child that is nobody; what it raises is returned, not raised."""
    return in_child
