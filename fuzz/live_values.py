"""Arguments for calls of live maps: good ones, good ones with something wrong, and odd ones.

`Values` is fed with samples of what a map takes. Everything comes from one `Random`, so that a
run repeats. Nothing here raises anything of its own when it is looked at: what comes out of a call
is skep's doing.
"""

from __future__ import annotations

import array
import datetime as dt
import decimal
import fractions
import ipaddress
import math
from collections import OrderedDict, deque, namedtuple
from types import MappingProxyType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

import skep
from skep.kernel.constants import MapType, UpdateFlags

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

EDGES = [0, 1, -1, 2, 3, 4, 7, 8, 63, 64, 127, 128, 255, 256, 0x7FFF, 0xFFFF, 0x10000,
         0x7FFFFFFF, -0x80000000, 0x80000000, 0xFFFFFFFF, 1 << 32, (1 << 63) - 1, -(1 << 63),
         1 << 63, (1 << 64) - 1, 1 << 64, -(1 << 64), 1 << 127, 1 << 200]  # fmt: skip
NAMES = ["", "x", "a", "b", "pid", "at", "comm", "x.y", "class", "\0", "\udc80", "\u20ac" * 3,
         "10.0.0.0/8", "10.0.0.1", "10.0.0.0/33", "::1", "fe80::1%lo", "RED", "lo", "/", "nothing",
         "a" * 5000]  # fmt: skip
SIZES = [0, 1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 31, 32, 33, 64, 100, 4096, 65537]
DTYPES = ["u1", "i1", "u2", ">u2", "u4", "i4", ">u4", "u8", "i8", "f2", "f4", "f8", "?", "S4",
          "S16", "U4", "V5", "V24", "c16", "O", "M8[s]", "m8[ns]"]  # fmt: skip

NETWORKS = (ipaddress.IPv4Network, ipaddress.IPv6Network)

Pair = namedtuple("Pair", "a b")  # noqa: PYI024 - the untyped one is what people have


class Plain(skep.Record):
    """A record of nothing that any map holds."""

    a: int
    b: str


class Indexed:
    """An integer to those who ask for one."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __index__(self) -> int:
        """Return it."""
        return self.number


class Filed:
    """A file to those who ask for a descriptor."""

    def __init__(self, number: Any) -> None:
        self.number = number

    def fileno(self) -> Any:
        """Return it."""
        return self.number


class Counted:
    """A sequence that says how long it is, and has nothing in it."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        raise IndexError(index)


class Values:
    """Makes arguments."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.depth = 0

    def number(self) -> int:
        """Return an integer, more often a small one than not."""
        random = self.random
        if random.random() < 0.5:
            return random.choice(EDGES) + random.randrange(-1, 2)
        return random.randrange(-4, 40)

    def flags(self) -> Any:
        """Return flags: mostly some that exist."""
        random = self.random
        choice = random.random()
        if choice < 0.5:
            return random.choice([0, 1, 2, 4, *UpdateFlags])
        if choice < 0.7:
            return 1 << random.randrange(70)
        return random.choice([self.number(), None, "x", 1.5, True, b"", Indexed(1), (1,)])

    def data(self) -> bytes:
        """Return bytes of some size."""
        return self.random.randbytes(self.random.choice(SIZES[:16]))

    def mutated(self, sample: Any) -> Any:
        """Return *sample* with something about it changed."""
        random = self.random
        if isinstance(sample, bool):
            return random.choice([int(sample), str(sample), 2, None])
        if isinstance(sample, int):
            return random.choice(
                [sample + 1, -sample, sample ^ 1 << random.randrange(70), float(sample),
                 str(sample), sample.to_bytes(32, "little", signed=True), Indexed(sample),
                 [sample], (sample,), np.array(sample % (1 << 63)), np.uint8(sample % 256),
                 np.float32(sample % 1000),
                 {"x": sample}, complex(sample % 99), fractions.Fraction(sample)]
            )  # fmt: skip
        if isinstance(sample, float):
            return random.choice([math.nan, math.inf, -math.inf, 1e308, -0.0, str(sample), None])
        if isinstance(sample, (bytes, str)):
            return self._mutated_text(sample)
        if isinstance(sample, skep.Record):
            return self._mutated_record(sample)
        if isinstance(sample, (tuple, list)):
            return self._mutated_sequence(sample)
        if isinstance(sample, (ipaddress.IPv4Address, ipaddress.IPv4Network)):
            return random.choice(
                [str(sample), sample.packed if hasattr(sample, "packed") else None, [sample],
                 ipaddress.ip_address("::1"), ipaddress.ip_network("::/0"), str(sample) + "/99"]
            )  # fmt: skip
        return self.odd()

    def _mutated_text(self, sample: Any) -> Any:
        random = self.random
        changed: list[Any] = [sample[:-1], sample + sample[:1], sample * 9, sample[:0], [sample]]
        if isinstance(sample, str):
            changed += [sample.encode("utf-8", "surrogateescape"), sample + "\0x", "\ud800" * 3]
            return random.choice(changed)
        changed += [
            bytearray(sample),
            memoryview(sample),
            memoryview(sample * 2)[::2],
            list(sample),
        ]
        changed += [tuple(sample), array.array("B", sample), np.frombuffer(sample, "u1")]
        changed += [sample.decode("latin-1"), np.frombuffer(sample * 2, "u1")[::2]]
        return random.choice(changed)

    def _mutated_record(self, sample: Any) -> Any:
        random = self.random
        members = sample.asdict()
        choice = random.randrange(8)
        if choice == 0 and members:
            del members[random.choice(list(members))]
        elif choice == 1:
            members[random.choice(NAMES)] = self.anything(1)
        elif choice == 2:
            return tuple(sample)
        elif choice == 3:
            return self._mutated_sequence(tuple(sample))
        elif choice == 4:
            return SimpleNamespace(**members)
        elif choice == 5:
            return MappingProxyType(members)
        elif members:
            name = random.choice(list(members))
            members[name] = self.mutated(members[name])
            if choice == 6:
                return sample.replace(**{name: members[name]})
        return members

    def _mutated_sequence(self, sample: tuple[Any, ...] | list[Any]) -> Any:
        random = self.random
        items = list(sample)
        choice = random.randrange(8)
        if choice == 0 and items:
            items.pop(random.randrange(len(items)))
        elif choice == 1:
            items.insert(random.randrange(len(items) + 1), self.anything(1))
        elif choice == 2:
            return deque(items)
        elif choice == 3:
            return iter(items)
        elif choice == 4:
            return set(range(len(items)))
        elif items:
            at = random.randrange(len(items))
            items[at] = self.mutated(items[at])
        return random.choice([tuple, list])(items)

    def odd(self) -> Any:
        """Return something that hardly any map takes."""
        random = self.random
        number = self.number()
        made: list[Callable[[], Any]]
        made = [
            lambda: None,
            lambda: number,
            self.data,
            lambda: bytearray(self.data()),
            lambda: random.choice(NAMES),
            lambda: random.random() * 10.0 ** random.randrange(-300, 300),
            lambda: random.choice([math.nan, math.inf, True, False, ..., NotImplemented]),
            lambda: complex(1, 2),
            lambda: decimal.Decimal(random.choice(["1", "NaN", "1e999"])),
            lambda: fractions.Fraction(1, 3),
            lambda: dt.date(2000, 1, 1),
            dict,
            lambda: {random.choice(NAMES): self.anything(1)},
            lambda: OrderedDict(a=1, b=2),
            lambda: {1: 2, None: 3},
            lambda: (),
            list,
            lambda: [self.anything(1) for _ in range(random.randrange(5))],
            lambda: tuple(self.number() for _ in range(random.randrange(20))),
            lambda: range(random.randrange(40)),
            lambda: iter([1, 2]),
            lambda: {1, 2},
            lambda: Pair(1, "x"),
            lambda: Plain(a=1, b="x"),
            lambda: Plain,
            lambda: int,
            lambda: len,
            object,
            lambda: Indexed(number),
            lambda: Filed(random.choice([number, None, "x", -1, 1.5])),
            lambda: Counted(random.randrange(20)),
            lambda: MapType.HASH,
            lambda: slice(1, 2),
            lambda: memoryview(bytes(24)).cast("Q"),
            lambda: memoryview(b"12345678")[::2],
            lambda: ipaddress.ip_address(number % (1 << 32)),
            lambda: ipaddress.ip_network("10.0.0.0/8"),
            lambda: ipaddress.ip_address("fe80::1%lo"),
            lambda: np.float64(number % 1000),
            lambda: np.uint64(number % (1 << 64)),
            lambda: np.str_("x"),
            lambda: np.datetime64("2000-01-01"),
            lambda: self.column(3),
            lambda: [[[[[[[[number]]]]]]]],
        ]
        return random.choice(made)()

    def anything(self, deeper: int = 0) -> Any:
        """Return one of all."""
        if self.depth > 3:
            return self.number()
        self.depth += deeper
        try:
            return self.odd() if self.random.random() < 0.5 else self.number()
        finally:
            self.depth -= deeper

    def argument(self, samples: list[Any]) -> Any:
        """Return something for a place where *samples* are good."""
        choice = self.random.random()
        if samples and choice < 0.6:
            return self.random.choice(samples)
        if samples and choice < 0.85:
            return self.mutated(self.random.choice(samples))
        return self.odd()

    def column(self, rows: int) -> Any:
        """Return a NumPy array of about so many rows, of any type and shape."""
        random = self.random
        kind = random.choice(DTYPES)
        shape: Any = random.choice([rows, (rows, 2), (rows, 1), (), (0,), (rows, 0), (2, rows)])
        made: Any = np.zeros(shape, kind)
        if made.ndim and random.random() < 0.2:
            made = np.repeat(made, 2, axis=0)[::2]
        if random.random() < 0.1:
            made = made.byteswap().view(made.dtype.newbyteorder()) if kind not in "O?" else made
        if random.random() < 0.1:
            made = np.ma.masked_array(made)
        if kind in {"u4", "u8", "i8", "f8"} and made.size:
            made = np.asarray(made)
            made.flat = [abs(self.number()) % 0x7FFFFFFF for _ in range(made.size)]
        made.flags.writeable = random.random() < 0.8
        return made

    def many(self, samples: list[Any], rows: int, dtype: Any = None) -> Any:
        """Return a column or an iterable for a place where *samples* are good one by one."""
        random = self.random
        choice = random.random()
        if samples and choice < 0.35:
            return [random.choice(samples) for _ in range(rows)]
        if samples and choice < 0.55:
            return [self.argument(samples) for _ in range(rows)]
        if dtype is not None and choice < 0.75:
            shape: Any = random.choice([rows, rows + 1, (rows, 2), 0])
            zeros = np.zeros(shape, dtype)
            return random.choice([zeros, zeros[::-1], zeros.tolist()])
        made = self.column(rows) if choice < 0.9 else self.odd()
        # Sixteen million keys, one by one, take their time: that is no hang.
        return str(made) if isinstance(made, NETWORKS) else made
