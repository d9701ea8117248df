"""`Object`: the programs and maps of one object file, in the kernel."""

from __future__ import annotations

from _collections_abc import Mapping  # collections.abc imports all of collections: 2 ms

from skep.errors import ClosedError
from skep.object.spec import Named, counted
from skep.owner import Owner, caller, place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Self

    from skep.btf.target import Target
    from skep.kernel.fd import FD
    from skep.links.link import Link, Links
    from skep.maps.map import Map
    from skep.maps.variables import Variable
    from skep.object.spec import ObjectSpec
    from skep.object.struct_ops_layout import Operations
    from skep.object.variables import Variables
    from skep.programs.program import Program


class Loaded(Named):
    """The loaded programs or created maps by name.

    A name that the spec has, and that was left out, is a `NotFoundError` that says so.
    """

    __slots__ = ("specs",)

    def __init__(self, kind: str, owner: str, specs: dict[str, Any]) -> None:
        super().__init__(kind, owner)
        self.specs = specs

    def __missing__(self, name: str) -> Any:
        if name not in self.specs:
            return super().__missing__(name)
        from skep.object.failure import left_out

        raise left_out(self.specs[name], self.kind, self.owner)


class LiveVariables(Mapping[str, "Variable"]):
    """The variables of a loaded object by name; ``variables["x"] = 1`` stores at once.

    Each is a `Variable`, whose `value` is read anew every time.
    """

    __slots__ = ("_live", "_maps", "_specs")

    def __init__(self, specs: Variables, maps: dict[str, Map]) -> None:
        # Not the object: a cycle would put off the warning about one that was not closed.
        self._specs = specs
        self._maps = maps
        self._live: dict[str, Variable] = {}

    def __getitem__(self, name: str) -> Variable:
        found = self._live.get(name)
        if found is None:
            from skep.maps.variables import Variable

            spec = self._specs[name]
            section = self._maps[spec.section]
            found = self._live[name] = Variable(name, section, spec.offset, spec.codec)
        return found

    def __setitem__(self, name: str, value: Any) -> None:
        self[name].value = value

    def get(self, name: str, default: Any = None) -> Any:
        """Return the variable called *name*, or *default* when there is none."""
        return self[name] if name in self._specs else default

    def __contains__(self, name: object) -> bool:
        return name in self._specs

    def __iter__(self) -> Iterator[str]:
        return iter(self._specs)

    def __len__(self) -> int:
        return len(self._specs)

    def __repr__(self) -> str:
        return f"<Live{repr(self._specs)[1:]}"


class Object(Owner):
    """A loaded object: owns its programs, its maps, and the links that `attach()` makes.

    A context manager; `close()` detaches, then closes everything. `programs` and `maps` are dicts
    by name (`NotFoundError` for others), `variables` a mapping of the global variables by name,
    `spec` what it was loaded from. `btf_fd` is the object's BTF in the kernel, None without;
    `btf_error` why the kernel refused it; `target` whose types CO-RE was resolved against, and
    why those (None when no program asked); `borrowed` names the maps that belong to somebody
    else; `operations` are the structs of operations as this kernel has them. Made by
    `ObjectSpec.load()`. Reading maps from several threads is safe, closing is not.
    """

    __slots__ = (
        "_closed",
        "_links",
        "_opened",
        "borrowed",
        "btf_error",
        "btf_fd",
        "maps",
        "operations",
        "programs",
        "spec",
        "target",
        "variables",
    )  # fmt: skip

    def __init__(self, spec: ObjectSpec) -> None:
        self.spec = spec
        self.programs: dict[str, Program] = Loaded("program", spec.name, spec.programs)
        self.maps: dict[str, Map] = Loaded("map", spec.name, spec.maps)
        self.variables = LiveVariables(spec.variables, self.maps)
        self.operations: dict[str, Operations] = {}
        self.btf_error: Exception | None = None
        self.btf_fd: FD | None = None
        self.target: Target | None = None
        self._links: list[Links] = []
        self.borrowed: set[str] = set()
        self._opened = caller()
        self._closed = False

    @property
    def name(self) -> str:
        """The object's name: that of its file."""
        return self.spec.name

    @property
    def closed(self) -> bool:
        """Whether `close()` was called."""
        return self._closed

    def __repr__(self) -> str:
        state = "closed" if self._closed else counted(len(self.programs), "program")
        return f"<Object {self.name}: {state}, {counted(len(self.maps), 'map')}>"

    def attach(self, *names: str) -> Links:
        """Attach the programs called *names*, or every one whose section name says where.

        Structs of operations (`.struct_ops`) are attached like programs, by the name of their map.
        Programs whose section does not say enough (``uprobe``, ``perf_event``, ``xdp``) are left
        out unless named. The result closes all links; the object closes them too. When one
        program cannot be attached, those attached before are detached, and the error
        (`AttachError`, `NotFoundError`, `PrivilegeError`, `UnsupportedError`) is raised.
        """
        if self._closed:
            raise ClosedError(f"object {self.name} is closed")
        from skep.links.link import Links

        if not names:
            chosen = [name for name, p in self.programs.items() if p.spec.autoattach]
            names = (*chosen, *self.operations)
        links = Links(self._attach(name) for name in names)
        self._links.append(links)
        return links

    def _attach(self, name: str) -> Link:
        if name in self.operations and name not in self.programs:
            from skep.links.struct_ops import struct_ops

            return struct_ops(self.maps[name], self.operations[name].filled(self.programs))
        from skep.links.auto import attach

        return attach(self.programs[name])

    def close(self) -> None:
        """Detach what `attach()` attached and close programs, maps and BTF. Idempotent."""
        if self._closed:
            return
        self._closed = True
        errors: list[Exception] = []
        owned: list[Any] = [*reversed(self._links), *self.programs.values()]
        owned += [live for name, live in self.maps.items() if name not in self.borrowed]
        if self.btf_fd is not None:
            owned.append(self.btf_fd)
        for each in owned:
            try:
                each.close()
            except Exception as error:  # noqa: BLE001  the rest must be closed too
                errors.append(error)
        if errors:
            raise errors[0]

    def __enter__(self) -> Self:
        if self._closed:
            raise ClosedError(f"object {self.name} is closed")
        return self

    def _held(self) -> str:
        return f"object {self.name}"

    def _place(self) -> str:
        where = place(self._opened)
        return f"; it was loaded at {where}" if where else ""
