"""What `describe` says of an object, compared with what libbpf reads in it."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from needs import need_library

from skep import ObjectSpec, tools
from skep.kernel.constants import AttachType, MapType, ProgramType, name_of
from skep.object.describe import describe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compiling import CompileBpf

SOURCE = r"""
#include <skep/bpf.h>
char LICENSE[] SEC("license") = "GPL";
const volatile int a = 1;
int b = 2, c;
int d SEC(".data.own") = 3;
const int e SEC(".rodata.own") = 4;

#define MAP(name, kind, ...) \
    struct { __uint(type, BPF_MAP_TYPE_##kind); __VA_ARGS__ } name SEC(".maps")
MAP(array, ARRAY, __type(key, __u32); __type(value, __u64); __uint(max_entries, 3););
MAP(sized, LPM_TRIE, __uint(key_size, 8); __uint(value_size, 12); __uint(max_entries, 9);
    __uint(map_flags, BPF_F_NO_PREALLOC););
MAP(ring, RINGBUF, __uint(max_entries, 4096););
MAP(perf, PERF_EVENT_ARRAY, __uint(key_size, 4); __uint(value_size, 4););
MAP(local, TASK_STORAGE, __type(key, int); __type(value, long); __uint(map_flags, 1););

__attribute__((noinline)) static int more(int x) { return x * a + b + c + d + e; }
SEC("xdp") int p1(void *ctx) { return more(1); }
SEC("?fentry.s/do_x") int p2(void *ctx) { return 0; }
SEC("cgroup/connect4") int p3(void *ctx) { return 1; }
SEC("sk_lookup") int p4(void *ctx) { return 1; }
SEC("lsm_cgroup/socket_bind") int p5(void *ctx) { return 1; }
SEC("iter.s/task") int p6(void *ctx) { return 0; }
SEC("syscall") int p7(void *ctx) { return 0; }
SEC("xdp.frags/devmap") int p8(void *ctx) { return more(2); }
SEC("struct_ops/init") int p9(void *ctx) { return 0; }
SEC("tc") int p10(void *ctx) { return 0; }
SEC("action") int p11(void *ctx) { return 0; }
SEC("kprobe.multi/x*") int p12(void *ctx) { return 0; }
"""


class Opened:
    """An object that libbpf opened, never loaded."""

    def __init__(self, library: ctypes.CDLL, path: Path) -> None:
        self.library = library
        self.handle = self.call("object__open", str(path).encode(), result=ctypes.c_void_p)
        assert self.handle

    def call(self, name: str, *arguments: Any, result: Any = ctypes.c_int) -> Any:
        function = getattr(self.library, f"bpf_{name}")
        function.restype = result
        wrapped = [ctypes.c_void_p(a) if isinstance(a, int) else a for a in arguments]
        return function(*wrapped)

    def text(self, name: str, what: int) -> str:
        found: bytes | None = self.call(name, what, result=ctypes.c_char_p)
        return (found or b"").decode()

    def each(self, kind: str) -> Iterator[int]:
        """Yield the handles of its programs or maps."""
        following = self.call(f"object__next_{kind}", self.handle, None, result=ctypes.c_void_p)
        while following:
            yield following
            following = self.call(
                f"object__next_{kind}", self.handle, following, result=ctypes.c_void_p
            )

    def close(self) -> None:
        self.call("object__close", self.handle)


@pytest.fixture(scope="module")
def libbpf() -> ctypes.CDLL:
    library = ctypes.CDLL(need_library("libbpf.so.1"))
    library.libbpf_set_print(None)
    return library


def compare(libbpf: ctypes.CDLL, path: Path) -> None:
    """Compare all that both tell; libbpf sets a program's flags only when it loads it."""
    spec = ObjectSpec.from_file(path)
    what = describe(spec)
    theirs = Opened(libbpf, path)
    try:
        programs = {
            theirs.text("program__name", one): (
                theirs.text("program__section_name", one),
                name_of(ProgramType, theirs.call("program__type", one)),
                theirs.call("program__expected_attach_type", one),
                bool(theirs.call("program__autoload", one, result=ctypes.c_bool)),
            )
            for one in theirs.each("program")
        }
        maps = {
            theirs.text("map__name", one): (
                name_of(MapType, theirs.call("map__type", one)),
                *(
                    theirs.call(f"map__{fact}", one)
                    for fact in ("key_size", "value_size", "max_entries", "map_flags")
                ),
            )
            for one in theirs.each("map")
        }
    finally:
        theirs.close()
    assert programs == {
        one["name"]: (
            one["section"].removeprefix("?"),
            one["type"],
            AttachType[one["attach_type"].upper()] if one["attach_type"] else 0,
            spec.programs[one["name"]].autoload,
        )
        for one in what["programs"]
    }
    # Its plain data sections have the start of the file's name in front.
    named = {(name if name[0] == "." else f".{name.partition('.')[2]}")
             if "." in name else name: facts for name, facts in maps.items()}  # fmt: skip
    assert named == {one["name"]: tuple(list(one.values())[1:6]) for one in what["maps"]}


def test_one_of_many_kinds(libbpf: ctypes.CDLL, compile_bpf: CompileBpf, tmp_path: Path) -> None:
    path = tmp_path / "kinds.o"  # a name without a dot
    path.write_bytes(compile_bpf(SOURCE).read_bytes())
    compare(libbpf, path)


@pytest.mark.parametrize("name", sorted(tools.SUMMARIES))
def test_the_tools(libbpf: ctypes.CDLL, name: str) -> None:
    folder = Path(tools.__file__).parent / name
    objects = list(folder.glob("*.bpf.o"))
    assert objects
    for path in objects:
        compare(libbpf, path)
