"""One target under atheris: ``python -m fuzz.worker TARGET [libFuzzer's options] [CORPUS...]``."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from random import Random
from typing import Any

from fuzz.mutations import MUTATIONS

try:
    import atheris
except ImportError:
    sys.exit("fuzzing needs the package atheris: pip install 'skep[fuzz]' (Linux on x86-64)")

ROOMS = ("elf", "asm", "btf", "arrow", "object", "programs", "maps", "bindings")
LEFT_OUT = ("__main__",)


def _everything() -> None:
    """Import the rooms that read files, with what they import when it is first needed."""
    for room in ROOMS:
        package = importlib.import_module(f"skep.{room}")
        for module in pkgutil.iter_modules(package.__path__):
            if module.name not in LEFT_OUT:
                importlib.import_module(f"skep.{room}.{module.name}")


def main() -> None:
    """Fuzz the target that the first argument names, until libFuzzer's options say stop."""
    name = sys.argv.pop(1)
    # NumPy's own code is not looked at; it has to be there before the limit on memory counts.
    importlib.import_module("numpy")
    with atheris.instrument_imports(include=["skep"]):
        _everything()
        targets = importlib.import_module("fuzz.targets")
    mutation = MUTATIONS.get(name)
    options: dict[str, Any] = {}
    if mutation is not None:
        ours = mutation

        def mutate(data: bytes, size: int, seed: int) -> bytes:
            """Change the input by what it means, one time in four just anyhow."""
            random = Random(seed)
            if not random.randrange(4):
                anyhow: bytes = atheris.Mutate(data, size)
                return anyhow
            for _ in range(random.randrange(1, 4)):
                data = ours(data, random, size)[:size]
            return data

        options["custom_mutator"] = mutate
    atheris.Setup(sys.argv, targets.TARGETS[name], **options)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
