"""`IntEnum` and `IntFlag` that cost nothing until somebody asks for a member.

The standard library's make every member, and import eight modules, when the class is made: 5 ms
for the numbers that loading an object may need, a quarter of what libbpf takes for the whole
load. These keep the numbers of the class body in a dict and make a member when it is asked for.

They behave like the originals where somebody could tell: members are `int`s with `name` and
`value`, `Kind(7)` and `Kind["FWD"]` find them, a number without a name is a `ValueError`
(`IntFlag` keeps it), `repr`, iteration, `in`, `|`, `&`, copying and pickling work, the first of
two names for a number is the one that is shown. They are no `enum.Enum`: no `auto()`, no methods
or values other than numbers in the class body. Type checkers see the originals.
"""

# ruff: noqa: ANN001, ANN003, ANN201, ANN202, ANN204, ANN206 - no type checker reads the classes here
from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enum import IntEnum, IntFlag
else:

    class _Meta(type):
        """The class of the enum classes: finds members by name and by number."""

        def __new__(meta, name, bases, body, **options):
            # The interpreter puts numbers of its own into a class body (Python 3.13: the line).
            numbers = {
                key: value
                for key, value in body.items()
                if type(value) is int and not key.startswith("__")
            }
            for key in numbers:
                del body[key]
            body["__slots__"] = ()
            made = super().__new__(meta, name, bases, body, **options)
            made._numbers = numbers
            made._members = {}  # by number, as far as they were asked for
            made._names = None  # by number; made when the first name is asked for
            return made

        def __call__(cls, value):
            member = cls._members.get(value)
            return cls._make(value) if member is None else member

        def __getattr__(cls, name):
            try:
                value = cls._numbers[name]
            except KeyError:
                raise AttributeError(
                    f"type object {cls.__name__!r} has no attribute {name!r}"
                ) from None
            member = cls._members.get(value)
            if member is None:
                # One object for all threads: members are compared with `is`, too.
                member = cls._members.setdefault(value, int.__new__(cls, value))
            setattr(cls, name, member)  # found without this function from now on
            return member

        def __getitem__(cls, name):
            return cls(cls._numbers[name])

        def __iter__(cls):
            return (cls(value) for value in cls._canonical())

        def __len__(cls):
            return len(list(cls._canonical()))

        def __contains__(cls, value):
            return value in cls._numbers.values()

        def __dir__(cls):
            return [*super().__dir__(), *cls._numbers]

        def __repr__(cls):
            return f"<enum {cls.__name__!r}>"

        @property
        def __members__(cls):
            return {name: cls(value) for name, value in cls._numbers.items()}

        def _by_number(cls):
            if cls._names is None:
                names = {}
                for name, value in cls._numbers.items():
                    names.setdefault(value, name)
                cls._names = names
            return cls._names

    class _Number(int, metaclass=_Meta):
        @property
        def value(self):
            """The number as a plain `int`."""
            return int(self)

        def __str__(self):
            return int.__repr__(self)

        def __format__(self, spec):
            return int.__format__(int(self), spec)

        def __reduce_ex__(self, protocol):
            return type(self), (int(self),)

        def __copy__(self):
            return self

        def __deepcopy__(self, memo):
            return self

    class IntEnum(_Number):
        """Numbers with names; `enum.IntEnum` to type checkers."""

        @property
        def name(self):
            """The member's name."""
            return type(self)._by_number()[int(self)]

        def __repr__(self):
            return f"<{type(self).__name__}.{self.name}: {int(self)}>"

        @classmethod
        def _make(cls, value):
            if value not in cls._by_number():
                raise ValueError(f"{value!r} is not a valid {cls.__qualname__}")
            return cls._members.setdefault(int(value), int.__new__(cls, value))

        @classmethod
        def _canonical(cls):
            return cls._by_number()

    class IntFlag(_Number):
        """Bits with names, and what is put together from them; `enum.IntFlag` to type checkers."""

        @property
        def name(self):
            """The names of the bits, joined by "|"; None for 0 and for bits without names."""
            own = type(self)._by_number().get(int(self))
            if own is not None:
                return own
            bits = list(self)
            rest = int(self) & ~sum(bits)
            names = [bit.name for bit in bits]
            return "|".join([*names, *([str(rest)] if rest else [])]) if names else None

        def __repr__(self):
            name = self.name
            return f"<{type(self).__name__}{f'.{name}' if name else ''}: {int(self)}>"

        @classmethod
        def _make(cls, value):
            if not isinstance(value, int):
                raise ValueError(f"{value!r} is not a valid {cls.__qualname__}")  # noqa: TRY004
            made = int.__new__(cls, value)
            return cls._members.setdefault(int(value), made) if value in cls else made

        @classmethod
        def _canonical(cls):
            return (value for value in cls._by_number() if value and not value & (value - 1))

        def __iter__(self):
            return (type(self)(bit) for bit in type(self)._canonical() if int(self) & bit)

        def __len__(self):
            return int(self).bit_count()

        def __contains__(self, other):
            return int(self) & other == other

        def __or__(self, other):
            return type(self)(int(self) | other) if isinstance(other, int) else NotImplemented

        def __and__(self, other):
            return type(self)(int(self) & other) if isinstance(other, int) else NotImplemented

        def __xor__(self, other):
            return type(self)(int(self) ^ other) if isinstance(other, int) else NotImplemented

        __ror__ = __or__
        __rand__ = __and__
        __rxor__ = __xor__


__all__ = ["IntEnum", "IntFlag"]
