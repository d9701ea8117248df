"""The whole exception tree of skep.

Every class is a `SkepError` and the closest builtin, so both ``except SkepError`` and the
handler a Python programmer would write anyway (``except KeyError``) work::

    SkepError
    ├── FormatError (ValueError)            bytes that are not what they claim to be
    │   ├── ElfError                        an ELF file: truncated, foreign, not BPF
    │   └── BtfError                        a BTF blob
    ├── KernelError (OSError)               a system call failed; .errno, .call
    │   ├── PrivilegeError (PermissionError)   a capability is missing; .capability
    │   ├── LoadError                       a map, BTF blob or program was refused
    │   │   └── VerifierError               the verifier refused a program; .log
    │   ├── AttachError                     a program could not be attached
    │   └── MapError                        a map refused an access; .map, .key, .reason
    │       └── MapFullError                it has no room for one more value; .entries
    ├── UnsupportedError (NotImplementedError) this kernel or machine lacks a feature; .feature
    ├── NotFoundError (LookupError)         no such symbol, type, binary, tracepoint, section
    │   ├── NoBtfError                      no BTF of the kernel; .tried
    │   └── ExternError                     externs of a program that the kernel lacks; .problems
    ├── MissingKeyError (KeyError)          no such key in a map
    ├── KeyPresentError (KeyError)          a key that was to be new is in the map
    ├── EmptyError (IndexError)             nothing to take from a queue or stack
    ├── TypeMismatchError (TypeError)       a value does not fit its BTF type
    ├── RangeError (ValueError)             a number does not fit, an option is out of range
    ├── PrecheckError (ValueError)          a program no verifier would take; .problems
    ├── RelocationError (ValueError)        a CO-RE relocation cannot be resolved
    ├── ClosedError (ValueError)            the object, map, link or stream was closed
    ├── CompileError (RuntimeError)         the C compiler refused a source; .output
    └── MissingExtraError (ImportError)     an optional package is not installed; .extra

Several failures at once are an `ExceptionGroup` of these (`LoadErrors`).

Evidence travels as attributes, never only as text: whatever keyword an exception is raised
with is readable as an attribute and in `SkepError.evidence` (for JSON).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Self


class SkepError(Exception):
    """Base of every error skep raises on purpose.

    The message is one sentence saying what failed and what was expected; `hint` is one
    sentence saying what to do. ``str()`` is both. Immutable by convention; safe to share.
    """

    hint: str
    evidence: dict[str, Any]

    def __init__(self, message: str, *, hint: str = "", **evidence: Any) -> None:
        super().__init__(message)
        self.hint = hint
        self.evidence = evidence
        for name, value in evidence.items():
            setattr(self, name, value)

    @property
    def message(self) -> str:
        """What failed and what was expected, without the hint."""
        return str(self.args[0])

    def __str__(self) -> str:
        # Not super().__str__(): KeyError would print a repr, OSError "[Errno n] ...".
        return f"{self.message} ({self.hint})" if self.hint else self.message


class FormatError(SkepError, ValueError):
    """Bytes are not what they claim to be: truncated, out of bounds, inconsistent."""

    source: str = ""
    offset: int | None = None


class ElfError(FormatError):
    """A file is not an ELF file that skep can read."""


class BtfError(FormatError):
    """A BTF or BTF.ext blob is malformed."""


class KernelError(SkepError, OSError):
    """A system call failed. `errno` is the kernel's, `call` names the call or bpf command."""

    call: str = ""

    def __init__(self, message: str, *, errno: int, hint: str = "", **evidence: Any) -> None:
        super().__init__(message, hint=hint, **evidence)
        self.errno = errno
        self.evidence["errno"] = errno


class PrivilegeError(KernelError, PermissionError):
    """The process lacks a capability. `capability` names it, e.g. ``"CAP_BPF"``.

    `needs` are all that the call asks for, `missing` those of them that the process lacks
    (`capability` is the first).
    """

    capability: str = ""
    needs: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


class LoadError(KernelError):
    """The kernel refused a map, a BTF blob or a program. `name` says which, `kind` what it is.

    When the reason is known, `expected` and `given` say what the kernel takes and what it got.
    Of a program, `program` and `section` are its own, `cause` is the reason in a line and `log`
    all that the verifier said. `file`, `line_number` and `line` are the place in the C source
    and its text, "" and 0 where it is not known.
    """

    name: str = ""
    kind: str = ""
    expected: str = ""
    given: Any = None
    program: str = ""
    section: str = ""
    cause: str = ""
    log: str = ""
    file: str = ""
    line_number: int = 0
    line: str = ""


class VerifierError(LoadError):
    """The verifier refused a program. `log` is its whole log.

    `cause` is the log's last meaningful line, `instruction` the index of the instruction it
    stopped at (None when the log names none). `file`, `line_number` and `line` are the place in
    the C source and its text, "" and 0 when the object has no line table. `section` is the
    program's, `name` and `program` the program.
    """

    instruction: int | None = None


class AttachError(KernelError):
    """A program was loaded but could not be attached. `program` and `target` say what to what."""

    program: str = ""
    target: str = ""


class MapError(KernelError):
    """The kernel refused to read, write or walk a map.

    `map` is its name, `map_type` its type in lower case, `key` the key as given (None for the
    whole map). `reason` is one word for why: "frozen", "read-only", "write-only", "full",
    "flags", "no-lock", "memory", "busy", or "" where only the errno is known.
    """

    map: str = ""
    map_type: str = ""
    key: Any = None
    reason: str = ""


class MapFullError(MapError):
    """A map has no room for one more value; `entries` is how many it may have.

    `done` is how many of several values had been stored before.
    """

    entries: int = 0
    done: int = 0


class UnsupportedError(SkepError, NotImplementedError):
    """This kernel, architecture or build lacks a feature. `feature` names it."""

    feature: str = ""


class NotFoundError(SkepError, LookupError):
    """Something named by the user does not exist. `name` is what was looked for, `where` where."""

    name: str = ""
    where: str = ""


class NoBtfError(NotFoundError):
    """No BTF of the kernel was found, so nothing that depends on its types can be loaded.

    `tried` lists what was looked at, as (path, why not).
    """

    tried: tuple[tuple[str, str], ...] = ()


class ExternError(NotFoundError):
    """A program needs kernel symbols, functions or options that cannot be resolved.

    `problems` has a (name, kind, reason) for each of them: kind is "kconfig", "ksym", "kfunc" or
    "symbol" (declared as nothing that a kernel provides). `names` are their names, `release` the
    kernel's. `log` is the verifier's log where the program got as far as calling a weak kernel
    function that is not there, with `errno` and the place in the source; "" and 0 otherwise.
    """

    program: str = ""
    section: str = ""
    problems: tuple[tuple[str, str, str], ...] = ()
    names: tuple[str, ...] = ()
    release: str = ""
    log: str = ""
    errno: int = 0
    file: str = ""
    line_number: int = 0
    line: str = ""


class MissingKeyError(SkepError, KeyError):
    """A map has no such key. `key` is the key as given, `map` the map's name."""

    key: Any = None
    map: str = ""


class KeyPresentError(SkepError, KeyError):
    """A key that was to be new is in the map. `key` is the key as given, `map` the map's name."""

    key: Any = None
    map: str = ""


class EmptyError(SkepError, IndexError):
    """A queue or stack has no value to take or to look at. `map` is its name."""

    map: str = ""


class TypeMismatchError(SkepError, TypeError):
    """A Python value does not have the shape its BTF type asks for.

    `expected` says what was, `given` is the value or what is wrong with it. `field` is the member
    or element inside the value, e.g. ``"at.port"`` or ``"[2]"``. For a map, `map` is its name
    and `role` "key" or "value"; for a global variable `variable` is its name. Where two structs
    are compared, `expected_layout` and `given_layout` are their lines, and `comparison` is both
    side by side, which ``str()`` shows below the sentence.
    """

    expected: str = ""
    given: Any = None
    field: str = ""
    map: str = ""
    role: str = ""
    variable: str = ""
    expected_layout: Sequence[str] = ()
    given_layout: Sequence[str] = ()
    comparison: str = ""

    def __str__(self) -> str:
        text = super().__str__()
        return f"{text}\n{self.comparison}" if self.comparison else text


class RangeError(SkepError, ValueError):
    """A number does not fit its C type, or an option lies outside its range.

    For a value of a C type, `expected` is the type and its range, `given` the value; `field`,
    `map`, `role` and `variable` are those of `TypeMismatchError`.
    """

    expected: str = ""
    given: Any = None
    field: str = ""
    map: str = ""
    role: str = ""
    variable: str = ""


class RelocationError(SkepError, ValueError):
    """A CO-RE relocation cannot be resolved. `type`, `field` and `reason` say why.

    `cause` is the same as `reason`, as for the other failures of a program.
    `field` is the path of the member or the name of the enumerator, "" when the question was
    about the whole type. `program` and `section` say where it is needed, `file`, `line_number`
    and `line` the place in the C source, where known; `log` is the verifier's whole log and
    `errno` its answer, "" and 0 when it was not asked.
    """

    program: str = ""
    section: str = ""
    type: str = ""
    field: str = ""
    reason: str = ""
    cause: str = ""
    file: str = ""
    line_number: int = 0
    line: str = ""
    log: str = ""
    errno: int = 0


class PrecheckError(SkepError, ValueError):
    """A check before the load found what the verifier would refuse.

    `problems` is the list of `skep.programs.problem.Problem`, in the order of the code; `program`
    and `section` say whose they are.
    """

    program: str = ""
    section: str = ""
    problems: Sequence[Any] = ()


class ClosedError(SkepError, ValueError):
    """The object was used after `close()`."""


class CompileError(SkepError, RuntimeError):
    """The C compiler refused a source. `output` is the compiler's own message."""

    output: str = ""


class MissingExtraError(SkepError, ImportError):
    """An optional package is not installed. `extra` is the name for ``pip install skep[...]``."""

    extra: str = ""


class LoadErrors(SkepError, ExceptionGroup[SkepError]):  # noqa: N818 - it is a group
    """Several programs of one object failed to load; every failure is in `exceptions`.

    Each of them, of whatever class, has the attributes `program`, `section`, `errno`, `cause`,
    `log`, `file`, `line_number` and `line`, as `VerifierError` has.
    """

    def __new__(cls, message: str, exceptions: Sequence[SkepError]) -> Self:
        """Build the group; `ExceptionGroup` takes its arguments here, not in ``__init__``."""
        return ExceptionGroup.__new__(cls, message, exceptions)

    def __init__(self, *_: object) -> None:
        self.hint = ""
        self.evidence = {}

    def __str__(self) -> str:
        return "\n".join([self.message, *(f"  {error}" for error in self.exceptions)])

    def derive(self, excs: Sequence[SkepError]) -> LoadErrors:  # type: ignore[override]
        """Return a group of the same kind holding *excs* (`ExceptionGroup.derive`)."""
        return LoadErrors(self.message, excs)


def require(module: str, *, extra: str, purpose: str) -> Any:
    """Import an optional *module*, or raise `MissingExtraError` naming the *extra* to install."""
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        message = f"{purpose} needs the package {module.partition('.')[0]}, which is not installed"
        hint = f"pip install 'skep[{extra}]'"
        raise MissingExtraError(message, hint=hint, extra=extra) from error
