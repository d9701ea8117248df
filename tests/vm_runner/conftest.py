"""What the tests boot: the newest kernel of a series, and this interpreter's image."""

from __future__ import annotations

import pytest
from in_guests import CACHE, SERIES
from needs import need_program

from skep.vm import image, kernels


@pytest.fixture(scope="session")
def cache() -> str:
    need_program("qemu-system-x86_64", "busybox", "apt-get")
    return CACHE


@pytest.fixture(scope="session", params=SERIES)
def every_kernel(request: pytest.FixtureRequest, cache: str) -> kernels.Kernel:
    return kernels.fetch(request.param, cache)


@pytest.fixture(scope="session")
def kernel(cache: str) -> kernels.Kernel:
    return kernels.fetch(SERIES[-1], cache)


@pytest.fixture(scope="session")
def root(cache: str) -> str:
    return image.build(cache)
