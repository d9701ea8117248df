"""eBPF for Python.

Load any CO-RE object with no compiler, LLVM, libbpf or kernel headers on the machine, read its
maps typed by BTF and its event streams as NumPy columns::

    import skep

    spec = skep.ObjectSpec.from_file("prog.bpf.o")     # plain data: no kernel needed
    spec.variables["min_us"] = 100
    with spec.load() as obj, obj.attach():             # every program, from its section
        for batch in obj.maps["events"].stream():      # NumPy structured arrays
            print(batch["pid"], batch["comm"])

Public names are imported when they are first used, so that ``import skep`` costs a few
milliseconds and a program that never reads a column never imports NumPy.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep import asm as asm
    from skep import bindings as bindings
    from skep import build as build
    from skep import errors as errors
    from skep import links as links
    from skep import tools as tools
    from skep.btf.btf import Btf as Btf
    from skep.btf.kernel import kernel_btf as kernel_btf
    from skep.btf.record import Record as Record
    from skep.errors import LoadErrors as LoadErrors
    from skep.errors import SkepError as SkepError
    from skep.links.link import Link as Link
    from skep.links.link import Links as Links
    from skep.maps.map import Map as Map
    from skep.maps.spec import MapSpec as MapSpec
    from skep.object.object import Object as Object
    from skep.object.spec import ObjectSpec as ObjectSpec
    from skep.programs.program import Program as Program
    from skep.programs.spec import ProgramSpec as ProgramSpec
    from skep.streams.ringbuf import RingBuffer as RingBuffer

__version__ = "0.1.0"

# Where each public name lives. The names above are the same ones, for type checkers.
_PUBLIC = {
    "Btf": "skep.btf.btf",
    "Link": "skep.links.link",
    "Links": "skep.links.link",
    "LoadErrors": "skep.errors",
    "Map": "skep.maps.map",
    "MapSpec": "skep.maps.spec",
    "Object": "skep.object.object",
    "ObjectSpec": "skep.object.spec",
    "Program": "skep.programs.program",
    "ProgramSpec": "skep.programs.spec",
    "Record": "skep.btf.record",
    "RingBuffer": "skep.streams.ringbuf",
    "SkepError": "skep.errors",
    "asm": "skep.asm",
    "bindings": "skep.bindings",
    "build": "skep.build",
    "errors": "skep.errors",
    "kernel_btf": "skep.btf.kernel",
    "links": "skep.links",
    "tools": "skep.tools",
}

__all__ = ["__version__", *_PUBLIC]  # noqa: PLE0604 - the names are strings, in a dict


def __getattr__(name: str) -> object:
    module = _PUBLIC.get(name)
    if module is None:
        message = f"module 'skep' has no attribute {name!r}"
        raise AttributeError(message)
    # Not importlib.import_module: importing importlib and what it needs costs 0.4 ms.
    loaded = __import__(module, fromlist=("",))
    value = loaded if module == f"skep.{name}" else getattr(loaded, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
