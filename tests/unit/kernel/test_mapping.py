"""Memory that is mapped: how it is given up."""

from __future__ import annotations

import os

import pytest

from skep.errors import ClosedError
from skep.kernel.fd import FD
from skep.kernel.memory import Mapping


class Overtaken(Mapping):
    """Another thread closes it right after each look at it."""

    __slots__ = ("kept",)

    kept: memoryview | None

    @property
    def _view(self) -> memoryview | None:
        found, self.kept = self.kept, None
        return found

    @_view.setter
    def _view(self, view: memoryview | None) -> None:
        self.kept = view


def test_a_view_is_one_though_another_thread_closes_the_mapping_meanwhile() -> None:
    with FD(os.memfd_create("pages"), "pages") as file:
        os.ftruncate(file.fileno(), 4096)
        mapping = Overtaken(file, 4096, writable=True)
    view = mapping.view
    view[:5] = b"alive"
    with pytest.raises(ClosedError, match="mapping of pages is closed"):
        _ = mapping.view
    assert bytes(view[:5]) == b"alive"  # the pages stay as long as somebody looks at them
