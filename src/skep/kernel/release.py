"""The running kernel's version."""

from __future__ import annotations

import os

from skep.errors import FormatError

_cached: list[tuple[int, int, int]] = []


def parse_release(text: str) -> tuple[int, int, int]:
    """Parse the numbers at the start of a release: "6.1.0-28-amd64" gives (6, 1, 0).

    Distributions hide the stable version from uname(2) ("6.1.0-28" is 6.1.119): good for
    messages, not for decisions.
    """
    numbers: list[int] = []
    for part in text.strip().split(".", 2):
        digits = ""
        for character in part:
            if not ("0" <= character <= "9"):
                break
            digits += character
        if not digits:
            break
        numbers.append(int(digits))
        if digits != part:
            break
    if len(numbers) < 2:
        raise FormatError(f"{text!r} is not a kernel release")
    return (numbers[0], numbers[1], numbers[2] if len(numbers) > 2 else 0)


def release() -> tuple[int, int, int]:
    """Return the running kernel's version, (6, 18, 44); cached."""
    if not _cached:
        _cached.append(parse_release(os.uname().release))
    return _cached[0]


def release_name() -> str:
    """Return the running kernel's full release, as uname -r prints it."""
    return os.uname().release


def version_code() -> int:
    """Return the version as one number, KERNEL_VERSION(a, b, c), with c capped at 255.

    What a program's LINUX_KERNEL_VERSION means. Ubuntu and Debian hide the stable version from
    ``uname -r``; it is found where they put it.
    """
    uname = os.uname()
    try:
        with open("/proc/version_signature") as file:
            signature = file.read()
    except OSError:
        signature = ""
    major, minor, patch = stable_version(uname.release, uname.version, signature)
    return major << 16 | minor << 8 | min(patch, 255)


def stable_version(release: str, version: str, signature: str = "") -> tuple[int, int, int]:
    """Return the upstream version of a kernel, with the stable number where it can be found.

    *release* and *version* are uname's; Debian ends the latter in ``Debian 6.1.119-1``. Ubuntu's
    *signature* (/proc/version_signature) ends in the upstream version: ``Ubuntu
    5.15.0-91.101-generic 5.15.131``. Source: ``get_kernel_version`` of libbpf decides the same.
    """
    _, _, upstream = signature.strip().rpartition(" ")
    _, debian, package = version.partition("Debian ")
    for text in (upstream, package if debian else ""):
        try:
            return parse_release(text)
        except FormatError:
            continue
    return parse_release(release)
