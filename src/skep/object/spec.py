"""`ObjectSpec`: a whole BPF object as plain data, and `load()`, the one step to the kernel."""

from __future__ import annotations

import os

from skep.errors import ElfError, NotFoundError
from skep.object.variables import Variables, read_variables, unknown_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import Any, Literal, Self

    from skep.btf.btf import Btf
    from skep.kernel.fd import FD
    from skep.maps.map import Map
    from skep.maps.spec import MapSpec
    from skep.object.externs import ExternSpec
    from skep.object.object import Object
    from skep.programs.spec import ProgramSpec


class Named(dict[str, "Any"]):
    """A dict by name whose missing names are a `NotFoundError` with the close ones."""

    __slots__ = ("kind", "owner")

    def __init__(self, kind: str, owner: str) -> None:
        super().__init__()
        self.kind = kind
        self.owner = owner

    def __missing__(self, name: str) -> Any:
        raise unknown_name(name, self, self.kind, self.owner)


def counted(count: int, what: str) -> str:
    """Return "1 map", "2 maps"."""
    return f"{count} {what}{'' if count == 1 else 's'}"


class ObjectSpec:
    """A BPF object file as plain data, parsed without a kernel, the same on every machine.

    `programs` and `maps` are dicts by name in the order of the file; data sections are maps
    called like the section (".rodata"). Everything may be edited before `load()`: map sizes,
    `autoload`, `variables["min_us"] = 100`, what the kernel's configuration is said to be
    (`externs["CONFIG_HZ"].value = 250`). `btf` is the object's own BTF (None without),
    `byteorder` "little" or "big", `path` the file that it came from (None when it came as bytes).
    Not thread-safe; `copy()` for another thread.
    """

    __slots__ = (
        "btf", "byteorder", "externs", "kernel_version", "license", "maps", "name", "path",
        "programs", "variables",
    )  # fmt: skip

    name: str
    path: str | None
    byteorder: Literal["little", "big"]
    license: str
    kernel_version: int
    btf: Btf | None
    programs: dict[str, ProgramSpec]
    maps: dict[str, MapSpec]
    variables: Variables
    externs: dict[str, ExternSpec]

    def __init__(
        self,
        name: str,
        *,
        byteorder: Literal["little", "big"],
        license: str = "",
        kernel_version: int = 0,
        btf: Btf | None = None,
    ) -> None:
        self.name = name
        self.path = None
        self.byteorder = byteorder
        self.license = license
        self.kernel_version = kernel_version
        self.btf = btf
        self.programs = Named("program", name)
        self.maps = Named("map", name)
        self.variables = Variables({}, name)
        self.externs = Named("extern", name)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Self:
        """Parse the object file at *path*.

        Raises `NotFoundError` when there is none, `ElfError` or `BtfError` when it is not a BPF
        object that can be understood.
        """
        try:
            with open(path, "rb") as file:
                # Of what is no ELF file its beginning: /dev/zero has no end.
                data = file.read() if file.peek(4)[:4] == b"\x7fELF" else file.read(64)
        except FileNotFoundError as error:
            name = os.fspath(path)
            source = name.removesuffix(".o") + ".c"
            hint = f"compile it: skep build {source}" if os.path.isfile(source) else ""
            raise NotFoundError(f"there is no object file {name}", hint=hint, name=name) from error
        except OSError as error:
            name = os.fspath(path)
            message = f"the object file {name} cannot be read: {error.strerror}"
            raise ElfError(message, source=name) from error
        spec = cls.from_bytes(data, os.path.basename(os.fspath(path)))
        spec.path = os.fspath(path)
        return spec

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview, name: str = "<bytes>") -> Self:
        """Parse an object file's bytes; *name* is what errors call it. Raises like `from_file`."""
        from skep.object.parse import parse

        return parse(cls, data, name)

    def __repr__(self) -> str:
        return (
            f"<ObjectSpec {self.name}: {counted(len(self.programs), 'program')},"
            f" {counted(len(self.maps), 'map')}, {counted(len(self.variables), 'variable')}>"
        )

    def copy(self) -> Self:
        """Return a copy whose maps, programs and variables can be changed apart; BTF is shared."""
        made = type(self)(
            self.name,
            byteorder=self.byteorder,
            license=self.license,
            kernel_version=self.kernel_version,
            btf=self.btf,
        )
        made.path = self.path
        for name, program in self.programs.items():
            made.programs[name] = program.copy()
        for name, spec in self.maps.items():
            made.maps[name] = spec.copy()
        for name, extern in self.externs.items():
            made.externs[name] = extern.copy()
        made.variables = read_variables(made.maps, made.btf, made.name)
        return made

    def load(
        self,
        *,
        btf: Btf | str | os.PathLike[str] | None = None,
        programs: Callable[[ProgramSpec], bool] | Collection[str] | None = None,
        log_level: int = 0,
        reuse_maps: Mapping[str, Map] | None = None,
        token: str | os.PathLike[str] | FD | None = None,
    ) -> Object:
        """Create the maps, relocate and load the programs; return the live `Object`.

        *btf* is whose types CO-RE relocations are resolved against: a `Btf`, or what
        `skep.btf.target.find_target` takes ("auto", "sysfs", "none", the path of a file or
        directory); without it the variable `SKEP_BTF` says, or the running kernel.
        `Object.target` is what was chosen. *programs*, names or a predicate, replaces each
        program's `autoload`. *log_level* 1, 2 or 4 asks the verifier for its log even when a
        program is accepted. *reuse_maps* are open maps to use in place of the object's own of
        that name; they stay their owner's. *token* delegates the right to load: a BPF token, or
        the path of a bpffs to make one from; without it the variable `SKEP_BPF_TOKEN` may name
        that path.

        On any failure everything created so far is closed. Raises `LoadError`,
        `VerifierError` or `RelocationError` for one program that fails and `LoadErrors` for
        several, `PrivilegeError`, `NoBtfError`, `UnsupportedError`. The spec can be loaded again.
        """
        from skep.object.load import load

        return load(
            self,
            btf=btf,
            programs=programs,
            log_level=log_level,
            reuse_maps=reuse_maps or {},
            token=token,
        )
