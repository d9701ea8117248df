"""Wrong calls of live maps: a short, repeating run of ``python -m fuzz.live``."""

from __future__ import annotations

import gc
import re
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fuzz.live import OPERATIONS, Fuzzer, descriptors
from fuzz.live_maps import RECORD, LiveMaps
from needs import EMULATED

from skep.errors import NotFoundError, RangeError, SkepError, TypeMismatchError

if TYPE_CHECKING:
    from collections.abc import Callable

CALLS = 1500 if EMULATED else 6000


@pytest.mark.parametrize("seed", [1, 2])
def test_every_failure_is_an_error_of_ours(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with LiveMaps() as maps, warnings.catch_warnings():
        warnings.simplefilter("error")
        fuzzer = Fuzzer(maps, seed)
        monkeypatch.setattr("sys.unraisablehook", fuzzer.unraisable)
        fuzzer.run(CALLS // 10)
        gc.collect()
        before = descriptors()
        fuzzer.run(CALLS)
        gc.collect()
        assert descriptors() == before
    assert [str(finding) for finding in fuzzer.findings.values()] == []
    # It got somewhere: every map was called, much succeeded, much was refused in many ways.
    assert all(sum(answers.values()) > CALLS // 3000 for answers in fuzzer.by_kind.values())
    assert fuzzer.answers["(done)"] > CALLS // 10
    assert {"TypeMismatchError", "RangeError", "MissingKeyError", "UnsupportedError"} <= set(
        fuzzer.answers
    )


def test_a_run_repeats() -> None:
    answers = []
    for _ in range(2):
        with LiveMaps() as maps:
            fuzzer = Fuzzer(maps, 3)
            fuzzer.run(300)
            answers.append(fuzzer.answers)
    assert answers[0] == answers[1]


def test_what_must_not_happen_is_found() -> None:
    """A fuzzer that finds nothing should be able to."""
    with LiveMaps() as maps:
        fuzzer = Fuzzer(maps, 1)
        subject = maps.subjects[0]

        class Broken:
            spec = subject.live.spec

            def __getitem__(self, key: object) -> object:
                empty: dict[object, object] = {}
                return empty[key]

        subject.live = Broken()  # type: ignore[assignment]
        fuzzer.one(subject, "lookup")
    assert [finding.call for finding in fuzzer.findings.values()] == [f"{subject.name}.lookup"]
    assert set(OPERATIONS) >= {"lookup", "update", "delete", "pop"}


# What the fuzzer has found once

FOUND: list[tuple[str, Callable[[Any], object], type[SkepError], str]] = [
    ("devmap", lambda m: np.array([1, 2]) in m, TypeMismatchError, "an array index is an integer"),
    ("array", lambda m: m[int], TypeMismatchError, "an array index is an integer"),
    ("hash", lambda m: m.pop(np.zeros(2, "u4")), TypeMismatchError, "takes an integer"),
    ("records", lambda m: m.get(np.zeros(3, "u4")), TypeMismatchError, "a record, a mapping or a"),
    ("task", lambda m: m[int], TypeMismatchError, "expected a pid"),
    ("task", lambda m: m.update([1, 2], [3]), TypeMismatchError, "2 keys and 1 values do not"),
    ("task", lambda m: m.update(5, [3]), TypeMismatchError, "its keys must be a column"),
    ("task", lambda m: m.delete(object()), TypeMismatchError, "its keys must be a column"),
    ("sockmap", lambda m: m.update([1], iter([])), TypeMismatchError, "more than 0 keys and 0 val"),
    ("sockmap", lambda m: m.delete(5), TypeMismatchError, "its keys must be a column"),
    ("attached", lambda m: m.update([1], 5), TypeMismatchError, "its values must be a column"),
    ("bloom", lambda m: m.update(np.array(5)), TypeMismatchError, "its values must be a column"),
    ("queue", lambda m: m.extend(None), TypeMismatchError, "its values must be a column"),
    ("perf", lambda m: m.fill(5), TypeMismatchError, "its values must be a column"),
    ("hash", lambda m: m.bind(byteorder=object()), TypeMismatchError, "byteorder is 'big', "),
    ("hash", lambda m: m.bind(enums={}), RangeError, "enums is {}, expected 'numbers' or 'names'"),
    ("array", lambda m: m.bind(key=slice(1)), TypeMismatchError, "u32"),
    ("hash", lambda m: m.spec.copy(max_entries=-1).create(), RangeError, "max_entries is 0 to 2"),
    ("hash", lambda m: m.spec.copy(extra=1 << 64).create(), RangeError, "extra is 0 to 2"),
    ("cgroups", lambda m: m.__setitem__(0, "\0"), NotFoundError, "no such name is possible"),
    ("queue", lambda m: m.push({**RECORD, "comm": "\ud800"}), RangeError, "has a lone surrogate"),
    ("arena", lambda m: m.view(slice(1)), TypeMismatchError, "is no NumPy dtype"),
    ("arena", lambda m: m.view("O"), TypeMismatchError, "is no NumPy dtype"),
    ("arena", lambda m: m.view("V0"), TypeMismatchError, "is no NumPy dtype"),
    ("arena", lambda m: m.offset_of({}), TypeMismatchError, "pointer is an integer"),
]


def test_what_was_found_stays_fixed() -> None:
    with LiveMaps() as maps:
        lives = {subject.name: subject.live for subject in maps.subjects}
        for name, call, kind, message in FOUND:
            if name in maps.missing:
                continue
            with pytest.raises(kind, match=re.escape(message)):
                call(lives[name])
