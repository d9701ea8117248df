"""The only reasons for which a test of the kernel may be skipped.

Where everything must run (``SKEP_NO_SKIP=1``) there is none. In a guest any other skip fails.
"""

from __future__ import annotations

import ctypes
import errno
import importlib.util
import os
import shutil
from typing import Any

import pytest

from skep.errors import UnsupportedError
from skep.kernel.features import feature
from skep.kernel.release import release

EMULATED = "SKEP_GUEST" in os.environ
TOO_OLD = "this kernel is too old for"
NOT_BUILT = "this kernel is built without"
NOT_INSTALLED = "not installed here:"
HIDDEN = "a pid namespace hides"


def need(name: str) -> None:
    """Skip on a kernel that lacks the feature *name* and is too old for it.

    A kernel that should have it and does not fails the test, with the kernel's answer.
    """
    if not feature(name).available() and not feature(name).expected:
        pytest.skip(f"{TOO_OLD} {name}")
    feature(name).check()


def need_built(name: str, option: str) -> None:
    """Skip where the kernel knows the feature *name* and says that it is not part of this build.

    That is what ENOTSUP (EOPNOTSUPP) means, EINVAL where it is unknown. *option* is the one of
    the kernel's configuration.
    """
    try:
        need(name)
    except UnsupportedError as error:
        if error.evidence.get("errno") == errno.EOPNOTSUPP:
            pytest.skip(f"{NOT_BUILT} {option}")
        raise


def need_option(option: str) -> None:
    """Skip where the kernel's own configuration says that *option* is off."""
    from skep.kernel.kconfig import kernel_config

    if kernel_config().is_off(option):
        pytest.skip(f"{NOT_BUILT} {option}")


def need_process(pid: int, comm: str) -> None:
    """Skip where process *pid* is not the *comm* that it is on every kernel."""
    from skep.kernel import process

    if not process.exists(pid) or process.comm(pid) != comm:
        pytest.skip(f"{HIDDEN} {comm}")


def need_function(name: str, minimum: tuple[int, int]) -> None:
    """Skip where the kernel has no function *name*, and is older than *minimum*, which has it.

    For kernel functions that programs call (kfuncs). A newer kernel without it fails the test.
    """
    from skep.btf.kernel import kernel_btf
    from skep.btf.types import Kind

    if kernel_btf().find(name, Kind.FUNC):
        return
    if release()[:2] < minimum:
        pytest.skip(f"{TOO_OLD} {name}()")
    pytest.fail(f"this kernel has no function {name}(), which Linux {minimum} has")


def need_symbol(name: str, minimum: tuple[int, int]) -> None:
    """Skip where the kernel and its loaded modules have no symbol *name*; see `need_function`."""
    from skep.kernel.kallsyms import symbols

    if symbols([name]).get(name):
        return
    if release()[:2] < minimum:
        pytest.skip(f"{TOO_OLD} {name}")
    pytest.fail(f"this kernel has no symbol {name}, which Linux {minimum} has")


def at_least(samples: int) -> int:
    """Say how many of *samples*, which a timer takes, must have come.

    An emulated processor is too slow for most, and stands still while others have the real one.
    """
    return samples // 20 if EMULATED else samples


def rounds(number: int) -> int:
    """Say how many of *number* rounds a stress test makes: fewer where each takes ten times longer.

    The processors of a guest share one of the host's, so that races are rarer there anyway.
    """
    return -(-number // 10) if EMULATED else number


def need_program(*names: str) -> None:
    """Skip where one of the programs *names*, which skep itself does not need, is missing."""
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        pytest.skip(f"{NOT_INSTALLED} {' '.join(missing)}")


def need_library(name: str) -> str:
    """Return *name*, a shared library that skep itself does not need; skip where it is missing."""
    try:
        ctypes.CDLL(name)
    except OSError:
        pytest.skip(f"{NOT_INSTALLED} {name}")
    return name


def need_module(name: str) -> Any:
    """Return the module *name*, which skep itself does not need; skip where it is not installed."""
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{NOT_INSTALLED} {name}")
    return importlib.import_module(name)


def justified(reason: str) -> bool:
    """Whether a skip with *reason* came from here."""
    return reason.removeprefix("Skipped: ").startswith((TOO_OLD, NOT_BUILT, NOT_INSTALLED, HIDDEN))
