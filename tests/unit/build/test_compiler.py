"""skep.build.compile: the same bytes from anywhere, and errors that say what to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from skep import build
from skep.build import toolchain
from skep.build.compiler import INCLUDE, CompilerWarning
from skep.elf.reader import ElfFile
from skep.errors import CompileError, MissingExtraError, NotFoundError, RangeError, SkepError

SOURCE = """
#include <skep/bpf.h>
char LICENSE[] SEC("license") = "GPL";
struct task_struct { int pid; } SKEP_CORE;
struct event { int pid; };
SKEP_RINGBUF(events, struct event, 4096);
SEC("raw_tp/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
    struct event *event = skep_reserve(events);
    if (event) {
        event->pid = BPF_CORE_READ(task, pid);
        skep_submit(event);
    }
    return 0;
}
"""
COMPILERS = [
    "ziglang",
    pytest.param(
        "clang",
        marks=pytest.mark.skipif(not list(toolchain._clangs()), reason="needs clang 15 or newer"),
    ),
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "prog.bpf.c"
    path.write_text(SOURCE)
    return path


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize(("target", "order"), [("bpfel", "little"), ("bpfeb", "big")])
def test_makes_an_object(source: Path, compiler: str, target: str, order: str) -> None:
    path = build.compile(source, target=target, compiler=compiler)
    assert path == source.with_name("prog.bpf.o")
    elf = ElfFile.from_path(path)
    assert elf.byteorder == order
    names = {section.name for section in elf.sections}
    assert {".BTF", ".BTF.ext", ".maps", "raw_tp/sched_process_exit"} <= names
    assert not any(name.startswith((".debug", ".rel.debug")) for name in names)


def test_default_target_is_this_machine(source: Path) -> None:
    elf = ElfFile.from_path(build.compile(source, compiler="ziglang"))
    assert elf.byteorder == sys.byteorder


@pytest.mark.parametrize("compiler", COMPILERS)
def test_same_bytes_from_anywhere(tmp_path: Path, source: Path, compiler: str) -> None:
    first = build.compile(source, compiler=compiler).read_bytes()
    deep = tmp_path / "another folder" / "deeper"
    deep.mkdir(parents=True)
    copy = Path(shutil.copy(source, deep))
    assert build.compile(copy, tmp_path / "x.o", compiler=compiler).read_bytes() == first
    # Another installation of skep, another working folder, a relative path.
    shutil.copytree(
        INCLUDE.parent, tmp_path / "site" / "skep", ignore=lambda _, names: {"tools"} & set(names)
    )
    code = f"from skep import build; build.compile('prog.bpf.c', 'y.o', compiler={compiler!r})"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    subprocess.run([sys.executable, "-c", code], cwd=deep, env=environment, check=True)
    assert (deep / "y.o").read_bytes() == first
    for part in (str(tmp_path), str(INCLUDE), os.path.expanduser("~") + "/"):
        assert part.encode() not in first


@pytest.mark.parametrize("compiler", COMPILERS)
def test_included_folders_do_not_show(tmp_path: Path, compiler: str) -> None:
    objects = []
    for name in ("one", "two/three"):
        folder = tmp_path / name
        (folder / "lib").mkdir(parents=True)
        (folder / "lib" / "own.h").write_text(
            "static inline int twice(int x) { return bpf_get_smp_processor_id() * 2 + x; }\n"
        )
        path = folder / "p.bpf.c"
        path.write_text(
            "#include <skep/bpf.h>\n#include <own.h>\n"
            'SEC("xdp") int p(struct xdp_md *ctx) { return twice(ctx->data); }\n'
        )
        made = build.compile(path, includes=[folder / "lib"], compiler=compiler)
        objects.append(made.read_bytes())
    assert objects[0] == objects[1]


def test_defines(tmp_path: Path) -> None:
    path = tmp_path / "p.bpf.c"
    path.write_text(
        '#include <skep/types.h>\n_Static_assert(N == 3, "");\n_Static_assert(YES, "");\nint x;\n'
    )
    build.compile(path, defines={"N": 3, "YES": None}, compiler="ziglang")
    build.compile(path, defines=["N=3", "YES"], compiler="ziglang")
    with pytest.raises(RangeError, match="expected a mapping or a list"):
        build.compile(path, defines="N=3", compiler="ziglang")


def test_arch(tmp_path: Path) -> None:
    path = tmp_path / "p.bpf.c"
    path.write_text("#ifndef __TARGET_ARCH_arm64\n#error other\n#endif\nint x;\n")
    build.compile(path, arch="aarch64", compiler="ziglang")
    with pytest.raises(CompileError, match="other"):
        build.compile(path, arch="any", compiler="ziglang")
    with pytest.raises(RangeError, match="there is no architecture 'vax'"):
        build.compile(path, arch="vax", compiler="ziglang")


def test_warnings_are_warnings(tmp_path: Path) -> None:
    path = tmp_path / "p.bpf.c"
    path.write_text('#include <skep/bpf.h>\nSEC("xdp") int p(void *ctx) { int x; return 2; }\n')
    with pytest.warns(CompilerWarning, match="unused variable 'x'"):
        build.compile(path, compiler="ziglang")
    assert path.with_name("p.bpf.o").exists()


def test_dash_in_front(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("-v.bpf.c").write_text(SOURCE)
    assert build.compile("-v.bpf.c", compiler="ziglang").read_bytes().startswith(b"\x7fELF")


def test_compile_error_has_the_message(tmp_path: Path) -> None:
    path = tmp_path / "bad.bpf.c"
    path.write_text('#include <skep/bpf.h>\nSEC("xdp") int p(void *ctx) { return oops; }\n')
    path.with_name("bad.bpf.o").write_text("precious")
    with pytest.raises(CompileError, match=r"bad\.bpf\.c does not compile") as caught:
        build.compile(path, compiler="ziglang")
    assert "bad.bpf.c:2:" in caught.value.output
    assert "use of undeclared identifier 'oops'" in caught.value.output
    assert path.with_name("bad.bpf.o").read_text() == "precious"
    assert sorted(os.listdir(tmp_path)) == ["bad.bpf.c", "bad.bpf.o"]


@pytest.mark.parametrize(
    ("include", "hint"),
    [('"vmlinux.h"', "skep btf dump --format c"), ("<bpf/bpf_nothing.h>", "libbpf-dev")],
)
def test_missing_headers_have_a_hint(tmp_path: Path, include: str, hint: str) -> None:
    path = tmp_path / "p.bpf.c"
    path.write_text(f"#include {include}\n")
    with pytest.raises(CompileError) as caught:
        build.compile(path, compiler="ziglang")
    assert hint in caught.value.hint


def test_missing_source(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"absent\.bpf\.c does not exist"):
        build.compile(tmp_path / "absent.bpf.c")
    with pytest.raises(NotFoundError, match="is a folder"):
        build.compile(tmp_path)


def test_missing_include_folder(source: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no include folder /no/where"):
        build.compile(source, includes=["/no/where"])


@pytest.mark.parametrize("output", ["/no/such/folder/x.o", "/proc/x.o"])
def test_unwritable_output(source: Path, output: str) -> None:
    with pytest.raises(SkepError, match=f"the object {output} cannot be written: No such file"):
        build.compile(source, output, compiler="ziglang")


def test_output_that_is_none(source: Path, tmp_path: Path) -> None:
    with pytest.raises(RangeError, match="is the source itself"):
        build.compile(source, source)
    with pytest.raises(RangeError, match="is a folder"):
        build.compile(source, tmp_path)
    assert source.read_text() == SOURCE


def test_wrong_target(source: Path) -> None:
    with pytest.raises(RangeError, match="there is no target 'x86'; expected one of bpfel, bpfeb"):
        build.compile(source, target="x86")


def test_no_compiler(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "ziglang", None)
    with pytest.raises(NotFoundError, match="no clang 15 or newer, nor ziglang") as caught:
        build.compile(source)
    assert "apt install clang" in caught.value.hint
    assert "pip install 'skep[build]'" in caught.value.hint
    with pytest.raises(NotFoundError, match="no clang 15 or newer, to compile"):
        build.compile(source, compiler="clang")
    with pytest.raises(MissingExtraError, match="needs the package ziglang") as missing:
        build.compile(source, compiler="ziglang")
    assert missing.value.extra == "build"


def test_compiler_by_path(source: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no compiler /no/clang"):
        build.compile(source, compiler="/no/clang")
    fake = tmp_path / "fake-clang"
    fake.write_text("#!/bin/sh\necho fake says no; exit 3\n")
    fake.chmod(0o755)
    with pytest.raises(CompileError, match="fake says no") as caught:
        build.compile(source, compiler=fake)
    assert caught.value.exit_status == 3  # type: ignore[attr-defined]


def test_old_clang_is_passed_over(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "clang"
    old.write_text("#!/bin/sh\necho 11.0.1\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert toolchain.find_toolchain().name == "ziglang"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build.compile(source)


def test_without_a_home(source: Path, tmp_path: Path) -> None:
    code = f"from skep import build; build.compile({str(source)!r}, compiler='ziglang')"
    environment = {"HOME": "/nonexistent", "PATH": os.environ["PATH"]}
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, check=True)
    assert source.with_name("prog.bpf.o").exists()
