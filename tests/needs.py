"""The only reasons for which a test of the kernel may be skipped.

Where everything must run (``SKEP_NO_SKIP=1``) there is none. In a guest any other skip fails.
"""

from __future__ import annotations

import os
import shutil

import pytest

from skep.kernel.features import feature

EMULATED = "SKEP_GUEST" in os.environ
TOO_OLD = "this kernel is too old for"
NOT_INSTALLED = "not installed here:"


def need(name: str) -> None:
    """Skip on a kernel that lacks the feature *name* and is too old for it.

    A kernel that should have it and does not fails the test, with the kernel's answer.
    """
    if not feature(name).available() and not feature(name).expected:
        pytest.skip(f"{TOO_OLD} {name}")
    feature(name).check()


def at_least(samples: int) -> int:
    """Say how many of *samples*, which a timer takes, must have come.

    An emulated processor is too slow for most, and stands still while others have the real one.
    """
    return samples // 20 if EMULATED else samples


def need_program(*names: str) -> None:
    """Skip where one of the programs *names*, which skep itself does not need, is missing."""
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        pytest.skip(f"{NOT_INSTALLED} {' '.join(missing)}")


def justified(reason: str) -> bool:
    """Whether a skip with *reason* came from here."""
    return reason.removeprefix("Skipped: ").startswith((TOO_OLD, NOT_INSTALLED))
