"""Wrong calls of live maps, by the million: ``python -m fuzz.live [CALLS] [SEED]`` (root).

Every call is one method of one of forty maps of all kinds, with arguments that are good, nearly
good or nonsense. A `SkepError` is a fine answer; any other exception is a finding, and so are a
call that takes more than `MAX_SECONDS` and a descriptor that is left behind. Ends with a table of
the answers, and with status 1 if there is a finding. A run repeats with its seed.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import sys
import time
import traceback
import warnings
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any

from fuzz.live_maps import LiveMaps
from fuzz.live_values import SIZES, Values
from skep.errors import KernelError, SkepError
from skep.kernel.constants import MapType
from skep.maps import BloomFilter, MapSpec, Queue

if TYPE_CHECKING:
    from collections.abc import Callable

    from fuzz.live_maps import Subject

MAX_SECONDS = 5.0
# Storing waits until no program uses what was there before; a CPU's entry is a thread besides.
SLOW = {"cpumap": 0.2, "outer": 0.4, "hash_outer": 0.4}
KEPT = 20  # findings that are told in full


class Finding:
    """What must not happen: the first such call, the exception or what else was wrong, and `times`.

    Two with the same `place`, a line of the source, are the same one.
    """

    def __init__(self, place: str, number: int, call: str, what: str) -> None:
        self.place = place
        self.number = number
        self.call = call
        self.what = what
        self.times = 0

    def __str__(self) -> str:
        return f"{self.times} times, first in call {self.number}: {self.call}\n{self.what}"


class Fuzzer:
    """Makes calls and counts what comes of them."""

    def __init__(self, maps: LiveMaps, seed: int) -> None:
        self.maps = maps
        self.random = Random(seed)
        self.values = Values(self.random)
        self.answers: Counter[str] = Counter()
        self.by_kind: dict[str, Counter[str]] = {each.name: Counter() for each in maps.subjects}
        self.findings: dict[str, Finding] = {}
        self.calls = 0
        self.slowest = 0.0
        self._weights = [OPERATIONS[name] for name in OPERATIONS]
        self._shares = [SLOW.get(each.name, 1.0) for each in maps.subjects]

    def run(self, calls: int) -> None:
        """Make *calls* calls."""
        for _ in range(calls):
            (subject,) = self.random.choices(self.maps.subjects, self._shares)
            self.one(subject, self._operation(subject))

    def _operation(self, subject: Subject) -> str:
        """Choose what to call: a method that the map has."""
        while True:
            (name,) = self.random.choices(list(OPERATIONS), self._weights)
            if hasattr(self, f"_{name}") or hasattr(subject.live, name):
                return name

    def one(self, subject: Subject, operation: str) -> None:
        """Make one call and judge what comes of it."""
        self.calls += 1
        call = self._arguments(subject, operation)
        start = time.monotonic()
        answer = self._judge(subject, operation, call)
        took = time.monotonic() - start
        self.slowest = max(self.slowest, took)
        if took > MAX_SECONDS:
            self._found(f"{subject.name}.{operation}", f"took {took:.1f} s")
        self.answers[answer] += 1
        self.by_kind[subject.name][answer] += 1

    def _judge(self, subject: Subject, operation: str, call: Callable[[], Any]) -> str:
        try:
            call()
        except SkepError as error:
            text = str(error)  # that, too, must work
            if not text:
                self._found(f"{subject.name}.{operation}", f"{type(error).__name__} says nothing")
            if isinstance(error, KernelError):
                return f"{type(error).__name__} [{os.strerror(error.errno or 0)}]"
            return type(error).__name__
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            last = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{type(error).__name__} {last.filename}:{last.lineno}"
            self._found(f"{subject.name}.{operation}", traceback.format_exc(limit=-6), place)
            return f"FINDING: {type(error).__name__}"
        return "(done)"

    def unraisable(self, what: Any) -> None:
        """Note what went wrong where nothing can be raised: a descriptor that was forgotten."""
        told = "".join(traceback.format_exception(what.exc_value))
        self._found("(collected)", f"{what.object!r:.80}\n{told}")

    def _found(self, call: str, what: str, place: str = "") -> None:
        place = place or f"{call} {what[:40]}"
        new = Finding(place, self.calls, call, what)
        self.findings.setdefault(place, new).times += 1

    # The calls

    def _key(self, subject: Subject) -> Any:
        return self.values.argument(subject.keys)

    def _value(self, subject: Subject) -> Any:
        return self.values.argument(subject.values)

    def _arguments(self, subject: Subject, operation: str) -> Callable[[], Any]:
        """Return the call that is to be made."""
        live: Any = subject.live
        special = getattr(self, f"_{operation}", None)
        if special is not None:
            made: Callable[[], Any] = special(subject)
            return made
        method = getattr(live, operation)
        random = self.random
        key, value = self._key(subject), self._value(subject)
        lock: Any = random.random() < 0.1
        shapes: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
            "insert": ((key, value), {"lock": lock}),
            "replace": ((key, value), {"lock": lock}),
            "setdefault": ((key, value), {}),
            "exact": ((key,), {}),
            "match": ((key,), {}),
            "id_of": ((key,), {}),
            "push": ((value,), {"drop_oldest": lock}),
            "peek": ((), {}),
            "add": ((value,), {}),
            "extend": (([self._value(subject) for _ in range(3)],), {}),
            "load_u64": ((key, self.values.number()), {}),
            "store_u64": ((key, value, self.values.number()), {}),
            "fill": ((self._value(subject),), {}),
            "offset_of": ((self.values.odd(),), {}),
        }
        arguments, options = shapes[operation]

        def call() -> None:
            made = method(*arguments, **options)
            if made is not value:  # a map of maps opens the one that it returns
                _closed(made)

        return call

    def _lookup(self, subject: Subject) -> Callable[[], Any]:
        key = self._key(subject)
        return lambda: _closed(subject.live[key])

    def _write(self, subject: Subject) -> Callable[[], Any]:
        key, value = self._key(subject), self._value(subject)
        return lambda: subject.live.__setitem__(key, value)

    def _remove(self, subject: Subject) -> Callable[[], Any]:
        key = self._key(subject)
        return lambda: subject.live.__delitem__(key)

    def _contains(self, subject: Subject) -> Callable[[], Any]:
        key = self.random.choice([self._key(subject), self._value(subject)])
        return lambda: key in subject.live

    def _get(self, subject: Subject) -> Callable[[], Any]:
        key, lock = self._key(subject), self.random.random() < 0.1
        options: dict[str, Any] = {"lock": True} if lock else {}
        return lambda: _closed(subject.live.get(key, None, **options))

    def _pop(self, subject: Subject) -> Callable[[], Any]:
        if isinstance(subject.live, Queue):
            return subject.live.pop
        key = self._key(subject)
        return lambda: _closed(subject.live.pop(key))

    def _store(self, subject: Subject) -> Callable[[], Any]:
        key, value, flags = self._key(subject), self._value(subject), self.values.flags()
        lock = self.random.random() < 0.1
        return lambda: subject.live.store(key, value, flags=flags, lock=lock)

    def _update(self, subject: Subject) -> Callable[[], Any]:
        rows, live = self.random.choice([0, 1, 2, 3, 20, 300]), subject.live
        keys = self.values.many(subject.keys, rows, self._dtype(subject, "key"))
        values = self.values.many(subject.values, rows, self._dtype(subject, "value"))
        flags = self.values.flags() if self.random.random() < 0.5 else 0
        lock = self.random.random() < 0.1
        if isinstance(live, BloomFilter):
            return lambda: live.update(values)
        if self.random.random() < 0.2:
            pairs = [(self._key(subject), self._value(subject)) for _ in range(3)]
            mapping = _mapping(pairs)
            return lambda: live.update(mapping, flags=flags)
        return lambda: live.update(keys, values, flags=flags, lock=lock)

    def _delete(self, subject: Subject) -> Callable[[], Any]:
        rows = self.random.choice([0, 1, 2, 20])
        keys = self.values.many(subject.keys, rows, self._dtype(subject, "key"))
        return lambda: subject.live.delete(keys)

    def _dtype(self, subject: Subject, role: str) -> Any:
        if self.random.random() < 0.7:
            return None
        try:
            return getattr(subject.live.cells, f"{role}_dtype")
        except SkepError:
            return None

    def _whole(self, subject: Subject) -> Callable[[], Any]:
        """Look at all entries, in one of the ways."""
        live: Any = subject.live
        lock = self.random.random() < 0.1
        ways: list[Callable[[], Any]] = [
            lambda: live.read(lock=lock),
            live.count,
            lambda: list(live),
            lambda: [key for key, _ in live.items()],
            lambda: sum(1 for _ in live.values()),
            live.to_arrow,
            lambda: repr(live),
            lambda: len(live) if hasattr(live, "__len__") else None,
        ]
        return self.random.choice(ways)

    def _empty(self, subject: Subject) -> Callable[[], Any]:
        live: Any = subject.live
        ways: list[Callable[[], Any]] = [live.drain, live.clear]
        return self.random.choice(ways)

    def _bind(self, subject: Subject) -> Callable[[], Any]:
        """Look at a key through other types."""
        value, key = self.values.odd(), self._key(subject)
        options: dict[str, Any] = self.random.choice(
            [{"value": value}, {"key": value}, {"enums": value}, {"byteorder": value},
             {"addresses": False}, {"enums": "names"}, {"byteorder": {"pid": "big"}},
             {"value": "u4"}, {"value": bytes}, {"value": int},
             {"key": self.values.column(1).dtype}]
        )  # fmt: skip

        def call() -> None:
            view = subject.live.bind(**options)
            try:
                _closed(view.get(key))
            finally:
                view.close()

        return call

    def _view(self, subject: Subject) -> Callable[[], Any]:
        live: Any = subject.live
        if not hasattr(live, "view"):
            return lambda: None
        if subject.name == "arena":
            kind, offset, count = self.values.odd(), self.values.number(), self.values.number()
            return lambda: live.view(kind, offset, count)
        view: Callable[[], Any] = live.view
        return view

    def _stream(self, subject: Subject) -> Callable[[], Any]:
        """Open a reader or a producer wrongly; what is opened is closed."""
        options: dict[str, Any] = self.random.choice(
            [{}, {"record": self.random.choice(["record", "none", ""])},
             {"interval": self.values.number()}]
        )  # fmt: skip
        live: Any = subject.live
        if subject.name == "user_ring":
            value = self._value(subject)

            def produce() -> None:
                with live.producer() as producer:
                    producer.send(value) if hasattr(producer, "send") else None

            return produce

        def call() -> None:
            with live.stream(**options) as stream:
                stream.read(timeout=0)

        return call

    def _create(self, subject: Subject) -> Callable[[], Any]:
        """Make a map of a wrong shape, and use it if the kernel takes it."""
        random, values = self.random, self.values
        spec = subject.live.spec
        changes: dict[str, Any] = {}
        for name, choice in (
            ("key_size", SIZES),
            ("value_size", SIZES),
            ("max_entries", [0, 1, 3, 64, -1, 1 << 32, None]),
            ("flags", [0, 1, 1 << random.randrange(20), -1, 1 << 40]),
            ("type", [*MapType, 77, -1]),
            ("key_type_id", [0, 1, 5, 10**6]),
            ("value_type_id", [0, 1, 5, 10**6]),
            ("extra", [0, 15, 1 << 40]),
        ):
            if random.random() < 0.25:
                changes[name] = random.choice(choice)
        key, value = self._key(subject), values.argument(subject.values)

        def call() -> None:
            with spec.copy(name="wrong", **changes).create() as live:
                live[key] = value
                _closed(live[key])

        return call

    def _declare(self, subject: Subject) -> Callable[[], Any]:
        del subject
        values = self.values
        key, value = values.odd(), values.odd()
        kind: Any = self.random.choice(["hash", "array", "queue", "no such", 1, 99])

        def call() -> None:
            spec = MapSpec(name="declared", type=kind, key=key, value=value, max_entries=2)
            with spec.create() as live:
                live.get(1)

        return call


def _closed(value: Any) -> Any:
    """Close what a map of maps gives."""
    if hasattr(value, "close"):
        value.close()
    return value


def _mapping(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    """Return *pairs* as a dict, without those that cannot be keys of one."""
    made: dict[Any, Any] = {}
    for key, value in pairs:
        try:
            made[key] = value
        except (TypeError, ValueError):  # not to be hashed, or not to be compared
            continue
    return made


# How often each is called. "lookup" and so on are the methods of `Fuzzer`; the others maps' own.
OPERATIONS = {
    "lookup": 20, "write": 20, "get": 10, "contains": 8, "remove": 8, "pop": 8, "store": 12,
    "insert": 5, "replace": 5, "setdefault": 5, "update": 15, "delete": 8, "whole": 2, "empty": 1,
    "bind": 3, "view": 1, "stream": 1, "create": 1, "declare": 1, "exact": 1, "match": 1,
    "id_of": 1, "push": 4, "peek": 1, "add": 2, "extend": 1, "load_u64": 1, "store_u64": 1,
    "fill": 1, "offset_of": 1,
}  # fmt: skip


def descriptors() -> int:
    """Count the descriptors of this process."""
    return len(os.listdir("/proc/self/fd"))


def resident() -> int:
    """Return the bytes of this process that are in memory."""
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS"))


def main() -> int:
    """Make the calls, print the table, and return the exit status."""
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    warnings.simplefilter("error")  # a forgotten descriptor is one
    faulthandler.enable()
    start = time.monotonic()
    with LiveMaps() as maps:
        fuzzer = Fuzzer(maps, seed)
        sys.unraisablehook = fuzzer.unraisable
        fuzzer.run(min(calls, 20_000))  # everything is imported and in the caches
        gc.collect()
        before, memory = descriptors(), resident()
        while fuzzer.calls < calls:
            faulthandler.dump_traceback_later(120, exit=True)  # a call that hangs ends the run
            fuzzer.run(min(1000, calls - fuzzer.calls))
            faulthandler.cancel_dump_traceback_later()
        gc.collect()
        after, grown = descriptors(), resident() - memory
    print(f"{fuzzer.calls} calls of {len(maps.subjects)} maps in {time.monotonic() - start:.0f} s")
    for answer, count in fuzzer.answers.most_common():
        print(f"{count:9}  {answer}")
    print(f"slowest call: {fuzzer.slowest * 1000:.0f} ms")
    print(f"descriptors: {before} before, {after} after; memory grew by {grown >> 10} KiB")
    for name, why in maps.missing.items():
        print(f"left out: {name}: {why}")
    for finding in list(fuzzer.findings.values())[:KEPT]:
        print(f"\n{finding}")
    print(f"{len(fuzzer.findings)} findings")
    return int(bool(fuzzer.findings) or after > before)


if __name__ == "__main__":
    sys.exit(main())
