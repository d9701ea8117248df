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
        if target in {"btf", "types"}:
            yield every_kind("little")
            yield every_kind("big")
        if target == "types":
            yield of_maps("little")
            yield of_maps("big")
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
            if section.name == {"btf_ext": ".BTF.ext"}.get(target, ".BTF") and target != "code":
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


def of_maps(byteorder: str) -> bytes:
    """Return a blob with what makes a difference in a key or value: tags, addresses, holes."""
    b = Builder(byteorder)
    word = b.int("unsigned int", 4)
    byte = b.int("unsigned char", 1)
    char = b.int("char", 1, signed=True)
    short = b.int("unsigned short", 2)
    wide = b.int("unsigned long long", 8)
    long = b.int("long", 8, signed=True)
    big = b.typedef("__be32", word)
    six = b.array(byte, 16, word)
    b.struct("in_addr", 4, [("s_addr", big, 0)])
    state = b.enum("state", [("NEW", 0), ("OLD", 1)])
    lock = b.struct("bpf_spin_lock", 4, [("val", word, 0)])
    inner = b.struct("inner", 8, [("a", word, 0), ("b", b.array(byte, 4, word), 32)])
    members = [("a", word, 0), ("b", inner, 32), ("saddr", big, 96), ("daddr", six, 128)]
    flow = b.struct("flow", 56, [*members, ("port", b.typedef("__be16", short), 256),
                                 ("state", state, 288), ("comm", b.array(char, 8, word), 320),
                                 ("lock", lock, 384)])  # fmt: skip
    b.decl_tag("skep:ipv4", flow, 0)
    b.decl_tag("skep:enum state", inner, 0)
    b.struct("mixed", 24, [("x", byte, 0), ("y", wide, 64), ("z", long, 128)])
    b.struct("packed", 9, [("x", byte, 0), ("y", wide, 8)])
    either = b.union("either", 8, [("a", wide, 0), ("b", word, 0), ("c", word, 4, 3)])
    b.array(b.array(either, 2, word), 2, word)
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
