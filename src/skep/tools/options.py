"""What a tool can be asked: options and arguments as declarations, and their values.

A declaration knows nothing of a command line; `skep.cli` makes one of it, and Python code
(`skep.agent`, a script) gives the same values by name.
"""

from __future__ import annotations

from skep.errors import RangeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any


class Option:
    """One option: ``Option("-p", "--pid", kind=int, ...)``.

    `kind` is `bool` for a flag, `int`, `float` or `str` for a value, or a tuple of the words
    allowed. `name` is the last flag without its dashes, as an identifier.
    """

    __slots__ = ("default", "flags", "help", "kind", "metavar", "minimum", "name")

    def __init__(
        self,
        *flags: str,
        help: str,
        kind: type[bool | int | float | str] | tuple[str, ...] = bool,
        default: Any = None,
        metavar: str = "",
        minimum: float | None = None,
        name: str = "",
    ) -> None:
        self.flags = flags
        self.help = help
        self.kind = kind
        self.default = False if kind is bool else default
        self.metavar = metavar
        self.minimum = minimum
        self.name = name or flags[-1].lstrip("-").replace("-", "_")

    def __repr__(self) -> str:
        return f"<Option {'/'.join(self.flags)}>"

    @property
    def label(self) -> str:
        """What messages call it."""
        return self.name

    def check(self, value: Any) -> Any:
        """Return *value*, or raise `RangeError` naming the option and what it takes."""
        if value is None:
            return value
        if isinstance(self.kind, tuple):
            if value not in self.kind:
                raise RangeError(f"{self.label} is one of {', '.join(self.kind)}, not {value!r}")
            return value
        wanted = (int, float) if self.kind is float else self.kind
        if not isinstance(value, wanted) or (isinstance(value, bool) and self.kind is not bool):
            raise RangeError(
                f"{self.label} takes a value of type {self.kind.__name__}, not {value!r}"
            )
        if self.minimum is None or isinstance(value, str):
            return value
        if not self.minimum <= value < float("inf"):  # which NaN is not either
            raise RangeError(f"{self.label} must be at least {self.minimum:g}, not {value:g}")
        return value


class Argument(Option):
    """A positional argument; `required` unless said otherwise."""

    __slots__ = ("required",)

    def __init__(
        self,
        name: str,
        *,
        help: str,
        kind: type[int | float | str] = str,
        metavar: str = "",
        minimum: float | None = None,
        required: bool = True,
    ) -> None:
        super().__init__(
            name, help=help, kind=kind, metavar=metavar or name.upper(), minimum=minimum
        )
        self.required = required

    @property
    def label(self) -> str:
        """Arguments are known by what the usage line calls them."""
        return self.metavar


class Options:
    """The values a tool was opened with, as attributes. Immutable by convention."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, value: Any) -> None: ...

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.__dict__.update(values)

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.__dict__.items())
        return f"Options({given})"

    @classmethod
    def of(cls, declared: Sequence[Option], given: Mapping[str, Any], *, who: str) -> Options:
        """Check *given* values against the *declared* options and fill in the defaults.

        Raises `RangeError` for a name *who* does not have, a value out of range, or a required
        argument that is missing.
        """
        known = {option.name: option for option in declared}
        for name in given:
            if name not in known:
                raise RangeError(
                    f"{who} has no option {name!r}", hint=f"it has {', '.join(sorted(known))}"
                )
        values = {name: option.check(given.get(name)) for name, option in known.items()}
        for name, option in known.items():
            if values[name] is None:
                if isinstance(option, Argument) and option.required:
                    raise RangeError(f"{who} needs {option.metavar}", hint=option.help)
                values[name] = option.default
        return cls(values)


PID = Option("-p", "--pid", kind=int, metavar="PID", minimum=1, help="Only this process.")
TIMESTAMP = Option("-T", "--timestamp", help="Print the time of day before each output.")
MICROSECONDS = Option("-u", "--microseconds", help="In microseconds.")
MILLISECONDS = Option("-m", "--milliseconds", help="In milliseconds.")
INTERVAL = Option(
    "-i", "--interval", kind=float, metavar="SECONDS", minimum=0.01,
    help="Print what was added every so often; else once, at the end.",
)  # fmt: skip
DURATION = Option(
    "-d", "--duration", kind=float, metavar="SECONDS", minimum=0.01, help="Stop after this long."
)
BUFFER = Option(
    "--buffer",
    kind=int,
    metavar="KIB",
    minimum=4,
    help="Size of the buffer for events, rounded up to a power of two; larger loses less.",
)
OUTPUT = Option(
    "-o", "--output", kind=("columns", "json"), default="columns",
    help="Tables and histograms for people, or one JSON document a line.",
)  # fmt: skip
