"""Arenas from Python alone: their memory as bytes and as arrays."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from needs import need

from skep.errors import ClosedError, LoadError, RangeError, UnsupportedError
from skep.kernel.constants import MapFlags, MapType
from skep.kernel.syscall import page_size
from skep.maps import Arena, Map, MapSpec

ADDRESS = 1 << 44


@pytest.fixture(autouse=True)
def wanted() -> None:
    need("arena")


def arena(pages: int = 4, flags: int = MapFlags.MMAPABLE, extra: int = 0) -> Arena:
    spec = MapSpec(name="arena", type=MapType.ARENA, max_entries=pages, flags=flags, extra=extra)
    made = spec.create()
    assert isinstance(made, Arena)
    return made


def test_bytes_and_arrays_are_the_same_memory() -> None:
    with arena() as made:
        assert len(made) == 4 * page_size == len(made.data)
        assert not any(made.data)
        numbers = made.view("u8", page_size, 3)
        numbers[:] = [1, 2, 3]
        assert bytes(made.data[page_size : page_size + 24]) == numbers.tobytes()
        made.data[page_size] = 9
        assert numbers.tolist() == [9, 2, 3]
        assert made.view().shape == (4 * page_size,)
        assert made.view(np.uint32, 4).shape == (page_size - 1,)
        assert made.view([("a", "u4"), ("b", "u8")], page_size, 1)[0].tolist() == (9, 2 << 32)
        assert made.offset_of(made.address + 5) == 5
        for pointer in (0, made.address - 1, made.address + len(made)):
            with pytest.raises(RangeError, match=r"is not in map 'arena' .arena."):
                made.offset_of(pointer)
        for wrong in (
            ("u8", 4 * page_size, 1),
            ("u8", -8),
            ("u1", 0, 4 * page_size + 1),
            ("u1", 0, -1),
        ):
            with pytest.raises(RangeError, match=r"map 'arena' .arena. has 16384 bytes|bytes: "):
                made.view(*wrong)
    assert numbers.tolist() == [9, 2, 3]  # a view in use stays valid
    for action in (lambda: made.data, made.view, lambda: made.address):
        with pytest.raises(ClosedError, match="map 'arena' is closed"):
            action()


def test_another_process_has_it_at_the_same_address() -> None:
    with arena(extra=ADDRESS) as made:
        assert made.address == ADDRESS
        made.view("u8")[:2] = 77, made.address + 8
        code = (
            "import sys; from skep.maps import Map\n"
            "with Map.from_id(int(sys.argv[1])) as again:\n"
            "    first, pointer = again.view('u8', 0, 2).tolist()\n"
            "    again.view('u8')[2] = first + again.offset_of(pointer)\n"
        )
        command = [sys.executable, "-W", "error", "-c", code, str(made.id)]
        subprocess.run(command, check=True)
        assert made.view("u8")[2] == 85


@pytest.mark.parametrize(
    ("extra", "hint"), [(0, "can be mapped once and no more"), (ADDRESS, "something is there")]
)
def test_one_process_maps_it_once(extra: int, hint: str) -> None:
    with arena(extra=extra) as made, Map.from_id(made.id) as again:
        assert isinstance(again, Arena)
        with pytest.raises(LoadError, match=r"map 'arena' .arena. cannot be mapped") as caught:
            again.view()
        assert hint in caught.value.hint


def test_it_has_no_keys() -> None:
    with arena() as made:
        key: Any = 0
        for action in (lambda: made[key], lambda: list(made), made.read, made.count, made.clear):
            with pytest.raises(UnsupportedError, match=r"map 'arena' .arena. ") as caught:
                action()
            assert "its memory is there: data, view()" in caught.value.hint


@pytest.mark.parametrize(
    ("pages", "flags", "extra", "words"),
    [
        (4, 0, 0, "the flags must be MMAPABLE, perhaps with others, not none"),
        (0, MapFlags.MMAPABLE, 0, "max_entries, its pages, must be 1 or more, not 0"),
        (1 << 21, MapFlags.MMAPABLE, 0, "must be 1048576 pages or fewer, 4 GiB, not 2097152"),
        (4, MapFlags.MMAPABLE, 5, "map_extra must be an address divisible by"),
    ],
)
def test_what_cannot_be_created(pages: int, flags: int, extra: int, words: str) -> None:
    with pytest.raises(LoadError, match=words):
        arena(pages, flags, extra)
