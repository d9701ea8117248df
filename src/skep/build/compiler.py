"""Compiles a ``.bpf.c`` source into a CO-RE object with BTF and without DWARF.

The result depends on the source, the headers, the options and the compiler's version, and on
nothing else: not on the folder, the user or the time. The compiler runs in the source's folder
on its bare name, and folders that would show in BTF line information are mapped to fixed names.
"""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

from skep.build.toolchain import Toolchain, find_toolchain
from skep.elf.strip import strip_debug
from skep.errors import CompileError, ElfError, NotFoundError, RangeError, SkepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    StrPath = str | os.PathLike[str]

#: The folder with skep's own headers, ``skep/bpf.h`` and the files it includes.
INCLUDE = Path(__file__).resolve().parent.parent / "include"

TARGETS = ("bpfel", "bpfeb")

# What libbpf's bpf_tracing.h wants to know; skep's own headers do not need it.
_ARCHITECTURES = {
    "x86_64": "x86",
    "x86": "x86",
    "amd64": "x86",
    "aarch64": "arm64",
    "arm64": "arm64",
    "riscv64": "riscv",
    "s390x": "s390",
    "ppc64le": "powerpc",
    "loongarch64": "loongarch",
}

_FLAGS = (
    "-g",  # BTF is made from debugging information
    "-O2",  # the verifier refuses what an unoptimised build makes of a program
    "-mcpu=v3",  # 32-bit registers, signed jumps and atomics: every kernel since 5.12
    "-std=gnu11",
    "-Wall",
    "-fno-asynchronous-unwind-tables",
    "-fno-stack-protector",
    "-fmacro-backtrace-limit=2",  # a mistake in an argument of BPF_PROG is not the macro's story
    "-fno-color-diagnostics",
)


class CompilerWarning(UserWarning):
    """What the C compiler said about a source that it did compile."""


def compile(
    source: StrPath,
    output: StrPath | None = None,
    *,
    target: str | None = None,
    arch: str | None = None,
    includes: Sequence[StrPath] = (),
    defines: Mapping[str, str | int | None] | Sequence[str] = (),
    flags: Sequence[str] = (),
    compiler: StrPath = "auto",
    strip: bool = True,
) -> Path:
    """Compile *source* and return the path of the object, *output*.

    *output*: default the source with ``.o`` for ``.c`` (``prog.bpf.c`` makes ``prog.bpf.o``).
    It is replaced in one step, and untouched when anything fails.
    *target*: ``"bpfel"`` or ``"bpfeb"`` (byte order); default this machine's.
    *arch*: the machine for ``__TARGET_ARCH_*``, which only libbpf's headers read; default this
    machine's, ``"any"`` defines none.
    *includes*: more folders for ``#include``; skep's headers come last of these, the system's
    (for libbpf's) after them. *defines*: a mapping, or strings such as ``"DEBUG"`` or ``"N=3"``.
    *flags*: passed on as they are. *compiler*: ``"auto"`` (clang, else ziglang), ``"clang"``,
    ``"ziglang"`` or a path of a clang. *strip*: without DWARF (`skep.elf.strip`).

    Raises NotFoundError (no such source, include folder or compiler), MissingExtraError (ziglang
    asked for and not installed), CompileError with the compiler's own message as `output`,
    RangeError for a wrong option, and SkepError when *output* cannot be written. What the
    compiler says about a source it accepts is issued as `CompilerWarning`.
    Thread-safe; takes 0.1 to 1 s.
    """
    path = Path(source)
    if not path.is_file():
        what = "is a folder, not a C source" if path.is_dir() else "does not exist"
        raise NotFoundError(f"the source {path} {what}", name=str(path))
    destination = path.with_suffix(".o") if output is None else Path(output)
    if destination.is_dir() or destination.resolve() == path.resolve():
        what = "a folder" if destination.is_dir() else "the source itself"
        raise RangeError(f"the output {destination} is {what}; expected a file name for the object")
    if target is None:
        target = "bpfel" if sys.byteorder == "little" else "bpfeb"
    if target not in TARGETS:
        raise RangeError(f"there is no target {target!r}; expected one of {', '.join(TARGETS)}")
    arguments = [
        *_FLAGS,
        *_define_flags(defines, arch),
        *_include_flags(path, includes),
        *flags,
    ]
    data, said = _run(find_toolchain(os.fspath(compiler)), path, target, arguments)
    if strip:
        try:
            data = strip_debug(data, str(destination))
        except ElfError as error:
            message = f"compiling {path} did not make a BPF object: {error.message}"
            raise CompileError(message, output=said) from error
    _write(destination, data)
    if said:
        warnings.warn(said, CompilerWarning, stacklevel=2)
    return destination


def _define_flags(
    defines: Mapping[str, str | int | None] | Sequence[str], arch: str | None
) -> list[str]:
    flags = []
    if arch != "any":
        machine = os.uname().machine if arch is None else arch
        name = _ARCHITECTURES.get(machine, machine if machine in _ARCHITECTURES.values() else "")
        if name:
            flags.append(f"-D__TARGET_ARCH_{name}")
        elif arch is not None:
            known = ", ".join((*_ARCHITECTURES, "any"))
            raise RangeError(f"there is no architecture {arch!r}; expected one of {known}")
    if isinstance(defines, str):
        raise RangeError(f"defines is the string {defines!r}; expected a mapping or a list")
    if hasattr(defines, "items"):
        flags += [
            f"-D{name}" if value is None else f"-D{name}={value}" for name, value in defines.items()
        ]
    else:
        flags += [f"-D{define}" for define in defines]
    return flags


def _include_flags(source: Path, includes: Sequence[StrPath]) -> list[str]:
    """Search folders, and what to call them in the object instead of where they are."""
    if isinstance(includes, str):
        raise RangeError(f"includes is the string {includes!r}; expected a list of folders")
    here = source.resolve().parent
    # The later map wins where two match; a folder inside another must therefore come after it.
    maps = {here: "."}
    flags = []
    for number, include in enumerate(includes):
        folder = Path(include).resolve()
        if not folder.is_dir():
            raise NotFoundError(f"there is no include folder {include}", name=str(include))
        flags += ["-I", str(folder)]
        maps.setdefault(folder, f"include.{number}")
    maps.setdefault(INCLUDE, "include")
    flags += ["-I", str(INCLUDE)]
    # Last, and the same for every compiler: libbpf's and the kernel's headers, if installed.
    for folder in (Path("/usr/include"), *sorted(Path("/usr/include").glob("*-linux-gnu*"))):
        if (folder / "asm").is_dir() or folder.name == "include":
            flags += ["-idirafter", str(folder)]
    ordered = sorted(maps.items(), key=lambda item: len(str(item[0])))
    flags += [f"-ffile-prefix-map={folder}={name}" for folder, name in ordered]
    return [*flags, "-fdebug-compilation-dir=."]


def _run(
    toolchain: Toolchain, source: Path, target: str, arguments: Sequence[str]
) -> tuple[bytes, str]:
    """Run the compiler; return the object's bytes and what the compiler said."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="skep-build-") as folder:
        result = Path(folder) / "object.o"
        # A name that begins with a dash would be an option.
        name = f"./{source.name}" if source.name.startswith("-") else source.name
        command = [*toolchain.command(target), *arguments, "-c", name, "-o", str(result)]
        try:
            done = subprocess.run(
                command,
                cwd=source.resolve().parent,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=toolchain.environment(folder),
                encoding="utf-8",
                errors="replace",
                check=False,
            )
        except OSError as error:
            message = f"the compiler {command[0]} cannot be run: {error.strerror}"
            raise NotFoundError(message, name=command[0]) from error
        said = done.stdout.strip()
        if done.returncode or not result.is_file():
            message = f"{source} does not compile:\n{said}"
            raise CompileError(
                message,
                hint=_hint(said),
                output=said,
                command=command,
                exit_status=done.returncode,
            )
        return result.read_bytes(), said


def _hint(said: str) -> str:
    """Say what to do about the mistakes that are made most."""
    if "'vmlinux.h' file not found" in said:
        return "make it with: skep btf dump --format c > vmlinux.h"
    if "'bpf/" in said and "file not found" in said:
        return "these are libbpf's headers: install libbpf-dev, or include <skep/bpf.h> instead"
    if "'asm/" in said and "file not found" in said:
        return "these are the kernel's headers: install linux-libc-dev, or use a vmlinux.h"
    return ""


def _write(destination: Path, data: bytes) -> None:
    """Put *data* in place of *destination* in one step, with the usual permissions."""
    temporary = destination.with_name(f".{destination.name}.{os.getpid()}.tmp")
    try:
        try:
            temporary.write_bytes(data)
            os.replace(temporary, destination)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        message = f"the object {destination} cannot be written: {error.strerror}"
        raise SkepError(message, path=str(destination), errno=error.errno) from error
