"""RLIMIT_MEMLOCK, which kernels before 5.11 charge maps and programs to."""

from __future__ import annotations

from skep.kernel import features

_done: list[bool] = []


def raise_memlock() -> bool:
    """Lift the limit of locked memory where the kernel charges BPF memory to it.

    Returns whether there is nothing (more) to fear: True when the kernel accounts to cgroups or
    the limit is infinite now, False when it could not be lifted (CAP_SYS_RESOURCE): creating
    maps may then fail with EPERM, and only then. Tried once per process.
    """
    if not _done:
        _done.append(features.available("memcg_accounting") or _lift())
    return _done[0]


def _lift() -> bool:
    import resource

    infinity = resource.RLIM_INFINITY
    try:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (infinity, infinity))
    except (ValueError, OSError):
        return False
    return True
