"""What generated modules are made on: finding their object, loading it, and the three namespaces.

A generated module imports this and nothing else of weight. Its object is read when it is opened:
from beside the module, or from the module itself when it was embedded there. Its bytes are known
by their digest; an object that was built anew is looked at, and refused with all that changed when
it no longer has the types that the module was written for.
"""

from __future__ import annotations

import os

from skep.btf.record import Record
from skep.errors import ClosedError, NotFoundError, RangeError, TypeMismatchError
from skep.kernel.enums import IntEnum
from skep.owner import Closing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from typing import Any, ClassVar, Self, TypeAlias, TypedDict, TypeVar

    from skep.btf.btf import Btf
    from skep.kernel.fd import FD
    from skep.links.link import Links
    from skep.maps.map import Map
    from skep.maps.variables import Variable
    from skep.object.object import Object
    from skep.object.spec import ObjectSpec
    from skep.programs.program import Program
    from skep.programs.spec import ProgramSpec

    M = TypeVar("M")

    Source: TypeAlias = str | os.PathLike[str] | ObjectSpec

    class Load(TypedDict, total=False):
        """What is handed on to `ObjectSpec.load`, which explains it."""

        btf: Btf | str | os.PathLike[str] | None
        programs: Callable[[ProgramSpec], bool] | Collection[str] | None
        log_level: int
        reuse_maps: Mapping[str, Map] | None
        token: str | os.PathLike[str] | FD | None


__all__ = ["Binding", "IntEnum", "Maps", "Opened", "Programs", "Record", "Variables"]


class Binding:
    """What a generated module knows of its object.

    *module* is the module's file and *object* the object's name, or its path from there; *digest*
    is the SHA-256 of the bytes that the module was written for and *shape* its interface, line by
    line. *records* are the classes of structs and unions by the number of the type there. *names*
    are the maps, variables and programs whose names Python cannot have, and *embedded* is the
    object itself, in base 64.
    """

    __slots__ = ("digest", "embedded", "module", "names", "object", "records", "shape")

    def __init__(
        self,
        module: str,
        object: str,
        digest: str,
        *,
        shape: Sequence[str],
        records: Mapping[int, type[Record]],
        names: Mapping[str, str],
        embedded: str = "",
    ) -> None:
        self.module = module
        self.object = object
        self.digest = digest
        self.shape = shape
        self.records = records
        self.names = names
        self.embedded = embedded

    @property
    def path(self) -> str:
        """Where the object is when it is not in the module."""
        return os.path.join(os.path.dirname(self.module), *self.object.split("/"))

    def spec(self, source: Source | None = None) -> ObjectSpec:
        """Return the object as plain data, its structs tied to the module's classes.

        *source* is another file with the same types, or a spec (which is tied as well). Raises
        `NotFoundError` when there is no such file, `ElfError` or `BtfError` when it is no object,
        and `TypeMismatchError` with `changes` when it has other types.
        """
        from skep.object.spec import ObjectSpec

        if isinstance(source, ObjectSpec):
            self._tie(source, known=False)
            return source
        if source is None and self.embedded:
            from binascii import a2b_base64

            data = a2b_base64(self.embedded)
            made = ObjectSpec.from_bytes(data, self.object.rpartition("/")[2])
        else:
            path = self.path if source is None else os.fspath(source)
            data = self._read(path)
            made = ObjectSpec.from_bytes(data, os.path.basename(path))
            made.path = path
        from hashlib import sha256

        self._tie(made, known=sha256(data).hexdigest() == self.digest)
        return made

    def _read(self, path: str) -> bytes:
        try:
            with open(path, "rb") as file:
                return file.read()
        except OSError as error:
            message = (
                f"{os.path.basename(self.module)} needs the object file {path},"
                f" which cannot be read: {error.strerror}"
            )
            hint = (
                "put it there, give its path (open(object=...)), or write the module with the"
                " object inside: skep gen --embed"
            )
            raise NotFoundError(message, hint=hint, name=path) from error

    def _tie(self, spec: ObjectSpec, *, known: bool) -> None:
        """Make the object's records those of the module. *known*: these are the very bytes."""
        if spec.btf is not None and spec.btf.records and spec.btf.records == self.records:
            return
        if known:
            records: Mapping[int, type[Record]] = self.records
        else:
            from skep.bindings.declare import differences, shape
            from skep.bindings.types import Types

            types = Types(spec)
            changes = differences(self.shape, shape(spec, types))
            if changes:
                raise self._stale(spec.name, changes)
            classes = {made.__name__: made for made in self.records.values()}
            records = {id_: classes[name] for id_, name in types.ids().items() if name in classes}
        if spec.btf is not None:
            spec.btf.records = dict(records)
            spec.btf.codecs.clear()  # those that were made meanwhile know nothing of the classes

    def _stale(self, name: str, changes: list[str]) -> TypeMismatchError:
        module = os.path.basename(self.module)
        told = "".join(f"\n  {change}" for change in changes)
        return TypeMismatchError(
            f"{name} is not what {module} was written for:{told}",
            hint=f"write it anew: skep gen {name} -o {module}",
            expected=self.digest,
            given=name,
            changes=changes,
        )

    def load(
        self,
        source: Source | None,
        constants: Mapping[str, Any],
        max_entries: Mapping[str, Any] | None,
        options: Mapping[str, Any],
    ) -> Object:
        """Set what is not None of *constants* and the sizes of maps, and load.

        A spec that was given is copied first, so that it stays as it is. Raises what
        `ObjectSpec.load` raises, `TypeMismatchError` or `RangeError` for a value that does not
        fit, `NotFoundError` for a map that there is not.
        """
        spec = self.spec(source)
        if spec is source:
            spec = spec.copy()
        for name, value in constants.items():
            if value is not None:
                spec.variables[self.names.get(f"variable {name}", name)] = value
        for name, size in (max_entries or {}).items():
            found = spec.maps[self.names.get(f"map {name}", name)]
            if not isinstance(size, int) or isinstance(size, bool):
                message = f"map {name!r}: max_entries is an integer, not {size!r:.60}"
                raise TypeMismatchError(message, expected="an integer", given=size, map=name)
            if not 0 <= size < 1 << 32:
                message = f"map {name!r}: max_entries is 0 to 2**32 - 1, not {size}"
                raise RangeError(message, expected="0 to 2**32 - 1", given=size, map=name)
            found.max_entries = size
        return spec.load(**options)


class Maps:
    """Base of a generated module's `Maps`: every map of the object is an attribute."""

    __slots__ = ("_live",)

    def __init__(self, live: Mapping[str, Any]) -> None:
        self._live = live

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__qualname__}: {', '.join(self._live)}>"

    def _map(self, name: str) -> M:  # type: ignore[type-var]  # what the attribute is said to be
        return self._live[name]  # type: ignore[no-any-return]


class Variables:
    """Base of a generated module's `Variables`: every global variable is an attribute.

    What has an attribute is a `Variable`; its `value` is read anew every time.
    """

    __slots__ = ("_live",)

    def __init__(self, live: Mapping[str, Variable]) -> None:
        self._live = live

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__qualname__}: {', '.join(self._live)}>"

    def _variable(self, name: str) -> M:  # type: ignore[type-var]
        return self._live[name]  # type: ignore[return-value]


class Programs:
    """Base of a generated module's `Programs`: every program is an attribute.

    One that was left out of the load is a `NotFoundError` that says so.
    """

    __slots__ = ("_live",)

    def __init__(self, live: Mapping[str, Program]) -> None:
        self._live = live

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__qualname__}: {', '.join(self._live)}>"

    def _program(self, name: str) -> Program:
        return self._live[name]


class Opened(Closing):
    """Base of a generated module's `Opened`: the object in the kernel, until it is closed.

    `object` is the `Object` itself, with everything that has no attribute here.
    """

    __slots__ = ("maps", "object", "programs", "variables")

    object: Object
    maps: Maps
    programs: Programs
    variables: Variables
    _parts: ClassVar[tuple[type[Maps], type[Programs], type[Variables]]]

    def __init__(self, live: Object) -> None:
        maps, programs, variables = self._parts
        self.object = live
        self.maps = maps(live.maps)
        self.programs = programs(live.programs)
        self.variables = variables(live.variables)

    def __repr__(self) -> str:
        state = " (closed)" if self.closed else ""
        return f"<{type(self).__module__}.{type(self).__qualname__} {self.object.name}{state}>"

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self.object.closed

    def attach(self, *names: str) -> Links:
        """Attach the programs called *names*, or all whose section says where; `Object.attach`."""
        return self.object.attach(*names)

    def close(self) -> None:
        """Detach and close everything. Idempotent."""
        self.object.close()

    def __enter__(self) -> Self:
        if self.closed:
            raise ClosedError(f"object {self.object.name} is closed")
        return self
