"""The inputs that fuzzing starts from: our own objects and parts of them, in both byte orders."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from fuzz.elf_writer import swapped
from fuzz.targets import base_btf
from skep.btf.writer import Builder
from skep.elf.reader import SHF_EXECINSTR, ElfFile
from skep.errors import SkepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
LARGEST = 1 << 15  # bytes of an object: larger ones make every execution slow
MOST = 150


def objects(*, compiled: bool) -> list[bytes]:
    """Return the tools' objects; with *compiled*, some of those that the tests have made too."""
    paths = sorted(ROOT.glob("src/skep/tools/*/*.bpf.o"))
    if compiled:
        made = [path for path in ROOT.glob(".cache/compiled/**/*.o") if _is_small(path)]
        made.sort(key=lambda path: (path.stat().st_size, path.name))
        # All sizes: the smallest are all of one kind.
        paths += made[:: max(1, len(made) // MOST)]
    return list(dict.fromkeys(path.read_bytes() for path in paths if _is_small(path)))


def _is_small(path: Path) -> bool:
    return path.stat().st_size <= LARGEST


def seeds(target: str, *, compiled: bool = False) -> Iterator[bytes]:
    """Yield the seeds of *target*; *compiled* as for `objects`."""
    if target == "log":
        yield from _logs()
    elif target == "binary":
        yield from _binaries()
    else:
        if target == "btf":
            yield every_kind("little")
            yield every_kind("big")
        elif target == "btf_ext":
            yield from map(_records, "<>")
        for data in objects(compiled=compiled):
            yield from _of_object(target, data)


def _of_object(target: str, data: bytes) -> Iterator[bytes]:
    for each in _both_orders(data):
        if target == "elf":
            yield each
            yield each[: len(each) // 2]
            continue
        elf = ElfFile(each)
        for section in elf.sections:
            body = bytes(elf.data(section))
            if (target, section.name) in (("btf", ".BTF"), ("btf_ext", ".BTF.ext")):
                yield body
            elif target == "code" and section.flags & SHF_EXECINSTR and body:
                yield (b"\x01" if elf.byteorder == "little" else b"\x81") + body[: 8 * 256]


def _both_orders(data: bytes) -> Iterator[bytes]:
    yield data
    try:
        yield swapped(data)
    except (SkepError, ValueError):
        return  # one of the tests' broken ones


def every_kind(byteorder: str) -> bytes:
    """Return a blob with a type of each kind."""
    b = Builder(byteorder)
    number = b.int("int", 4, signed=True)
    char = b.int("char", 1, signed=True)
    byte = b.int("unsigned char", 1)
    wide = b.int("__int128", 16)
    truth = b.int("bool", 1, is_bool=True)
    pointer = b.pointer(number)
    text = b.array(char, 16, number)
    b.enum("colour", [("RED", 0), ("GREEN", -1)])
    b.enum64("large", [("MANY", 1 << 40)])
    real = b.float("double", 8)
    tagged = b.type_tag("user", number)
    name = b.typedef("name_t", b.const(b.volatile(b.restrict(pointer))))
    anonymous = b.union("", 8, [("u", number, 0), ("v", real, 0)])
    bits = [("low", number, 0, 3), ("high", number, 3, 29), ("", anonymous, 64, 0)]
    record = b.struct("record", 16, bits)
    grid = b.array(b.array(record, 2, number), 3, number)
    members = [("a", text, 0), ("b", grid, 128), ("c", name, 896), ("d", wide, 1024)]
    whole = b.struct("whole", 152, [*members, ("e", truth, 1152), ("f", byte, 1160)])
    b.forward("hidden")
    b.forward("either", union=True)
    proto = b.func_proto(number, [("ctx", b.pointer(whole)), ("", 0)])
    function = b.func("entry", proto)
    variable = b.var("counter", tagged)
    b.datasec(".bss", 4, [(variable, 0, 4)])
    b.decl_tag("bpf_kfunc", function)
    b.decl_tag("note", record, 1)
    return b.build()


def _records(order: str) -> bytes:
    """Return a .BTF.ext for `base_btf`, in *order*."""
    from struct import pack

    btf = base_btf(b"\xeb" if order == ">" else b"\x9f")
    at = {text: btf.string_offsets(text)[0] for text in ("socket", "prog.bpf.c", "0:1", "0")}
    section = at["socket"]
    functions = pack(f"{order}I2I2I", 8, section, 1, 0, 8)
    lines = pack(f"{order}I2I4I4I", 16, section, 2, 0, at["prog.bpf.c"], 1, 1 << 10, 8, 1, 1, 2)
    core = pack(f"{order}I2I4I4I", 16, section, 2, 0, 4, at["0:1"], 0, 8, 4, at["0"], 8)
    sizes = [len(functions), len(lines), len(core)]
    places = [0, sizes[0], sizes[0] + sizes[1]]
    pairs = [value for pair in zip(places, sizes, strict=True) for value in pair]
    return pack(f"{order}HBBI6I", 0xEB9F, 1, 0, 32, *pairs) + functions + lines + core


def _binaries() -> Iterator[bytes]:
    import sysconfig

    folder = Path(sysconfig.get_path("stdlib")) / "lib-dynload"
    libraries = sorted(folder.glob("*.so"), key=lambda path: path.stat().st_size)
    yield from (path.read_bytes() for path in libraries[:3] if path.stat().st_size < 1 << 17)


def _logs() -> Iterator[bytes]:
    yield (
        b"0: R1=ctx() R10=fp0\n; int x = *p; @ prog.bpf.c:7\n12: (61) r0 = *(u32 *)(r1 +4)\n"
        b"R1 invalid mem access 'scalar'\nprocessed 13 insns (limit 1000000)\n"
    )
    yield b"func#0 @0\nunreachable insn 5\n"
    yield b"invalid func unknown#195896080\n"


def write(target: str, folder: Path) -> int:
    """Write the seeds of *target* to *folder*, named after their contents; return how many."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    made = {
        hashlib.sha1(seed, usedforsecurity=False).hexdigest(): seed
        for seed in seeds(target, compiled=True)
    }
    for name, seed in made.items():
        (folder / name).write_bytes(seed)
    return len(made)


if __name__ == "__main__":
    for name in sys.argv[2:]:
        write(name, Path(sys.argv[1]) / name)
