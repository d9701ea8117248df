"""What a case of the corpus is: one source, how to run it, and the values it must leave."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import compiling
from needs import need, need_built, need_function

import skep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Step: TypeAlias = Callable[[skep.Object], None]
    Prepare: TypeAlias = Callable[[skep.ObjectSpec, str, ExitStack], None]

SOURCES = Path(__file__).parent / "sources"

COMPILERS = {"clang-14": 14, "clang-16": 16, "clang-19": 19, "ziglang": 20}
"""The compilers of the corpus, and the release of clang that each is."""

IN_GUEST = "SKEP_GUEST" in os.environ


class Case:
    """One feature: the source ``sources/NAME.bpf.c``, and what is expected of it.

    *feature* is what it is about, in a few words. *steps* are called one after the other with the
    loaded object (`corpus_steps`). After them *variables* and *maps* must hold the given values:
    literally, or what a callable finds when it is given the kernel's own value. *given* are
    variables to set before loading; *prepare* does more to the spec, and may open what is needed
    while it is loaded.

    *needs* names features (`skep.kernel.features`), *built* those that a kernel may be built
    without, with the option; *functions* kernel functions with the release that introduced them.
    *clang* is the oldest that can compile it. *guests* marks what the machine that skep is
    developed on forbids: it runs only in guests. *big_endian* is off for the sources that have no
    big-endian build; *linked* is on for those that are two, NAME and NAME_2.
    """

    def __init__(
        self,
        name: str,
        feature: str,
        *steps: Step,
        variables: Mapping[str, Any] | None = None,
        maps: Mapping[str, Mapping[Any, Any]] | None = None,
        given: Mapping[str, Any] | None = None,
        prepare: Prepare | None = None,
        needs: tuple[str, ...] = (),
        built: Mapping[str, str] | None = None,
        functions: Mapping[str, tuple[int, int]] | None = None,
        clang: int = 14,
        flags: tuple[str, ...] = (),
        guests: bool = False,
        big_endian: bool = True,
        linked: bool = False,
    ) -> None:
        self.name = name
        self.feature = feature
        self.steps = steps
        self.variables = variables or {}
        self.maps = maps or {}
        self.given = given or {}
        self.prepare = prepare
        self.needs = needs
        self.built = built or {}
        self.functions = functions or {}
        self.clang = clang
        self.flags = flags
        self.guests = guests
        self.big_endian = big_endian
        self.linked = linked

    def __repr__(self) -> str:
        return self.name

    @cached_property
    def sources(self) -> list[str]:
        """The text of the source, or of both."""
        names = [self.name, f"{self.name}_2"] if self.linked else [self.name]
        return [(SOURCES / f"{name}.bpf.c").read_text() for name in names]

    def compilers(self) -> list[str]:
        """List those that can compile it."""
        return [name for name, release in COMPILERS.items() if release >= self.clang]

    def build(self, compiler: str, target: str = "bpfel") -> Path:
        """Compile it, or find it compiled, and return the object's path."""
        if self.linked:
            first, second = self.sources
            return compiling.linked(first, second, target, compiler)
        return compiling.bpf(self.sources[0], target, compiler, *self.flags)

    def need(self) -> None:
        """Skip on a kernel too old for it."""
        for name in self.needs:
            need(name)
        for name, option in self.built.items():
            need_built(name, option)
        for name, minimum in self.functions.items():
            need_function(name, minimum)

    @contextmanager
    def spec(self, compiler: str) -> Iterator[skep.ObjectSpec]:
        """Give the object's spec, ready to be loaded."""
        spec = skep.ObjectSpec.from_file(self.build(compiler))
        for name, value in self.given.items():
            spec.variables[name] = value() if callable(value) else value
        with ExitStack() as stack:
            if self.prepare is not None:
                self.prepare(spec, compiler, stack)
            yield spec

    def check(self, compiler: str) -> None:
        """Compile, load, run, compare."""
        with self.spec(compiler) as spec, spec.load() as live:
            for step in self.steps:
                step(live)
            self.compare(live)

    def compare(self, live: skep.Object) -> None:
        """Compare what the programs left with what is expected."""
        found = {name: live.variables[name].value for name in self.variables}
        assert found == {name: _expected(value) for name, value in self.variables.items()}
        for name, expected in self.maps.items():
            assert dict(live.maps[name].items()) == expected, f"map {name}"


def _expected(value: Any) -> Any:
    return value() if callable(value) else value
