"""``skep btf``: kernel types."""

from __future__ import annotations

import os
import sys

import click

from skep.cli.layout import layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.btf.btf import Btf
    from skep.btf.target import Target
    from skep.object.spec import ObjectSpec


@click.group("btf", short_help="show kernel types, as a C header for one; minimise them")
def btf() -> None:
    """Types of the running kernel, or of a file with BTF."""


btf.add_command(layout)


@btf.command("dump", short_help="print all types")
@click.argument("file", metavar="[FILE]", required=False, type=click.Path())
@click.option(
    "--format", "form", type=click.Choice(("c", "raw")), default="c", show_default=True,
    help="c: a header that compiles (vmlinux.h); raw: one line for each type.",
)  # fmt: skip
@click.option(
    "--base", metavar="KERNEL", type=click.Path(),
    help="The kernel's types, for FILE of a module. Default: the running kernel's.",
)  # fmt: skip
@click.option("-o", "--output", metavar="OUT", type=click.Path(), help="Write to a file.")
def dump(file: str | None, form: str, base: str | None, output: str | None) -> None:
    """Print every type of FILE: an ELF object with BTF, or BTF as in /sys/kernel/btf.

    Without FILE: of the running kernel. To get a vmlinux.h: skep btf dump -o vmlinux.h
    """
    types = load(file, base)
    if form == "c":
        from skep.btf.format_c import dump_c

        text = dump_c(types).rstrip("\n") + "\n"
    else:
        from skep.cli.btf_raw import lines

        text = "".join(f"{line}\n" for line in lines(types))
    if output is None:
        sys.stdout.write(text)
        return
    with open(output, "w", encoding="utf-8") as stream:
        stream.write(text)


@btf.command("minimize", short_help="keep only the types that objects need of a kernel's")
@click.argument("objects", metavar="OBJ...", nargs=-1, required=True, type=click.Path())
@click.option(
    "--from", "source", metavar="KERNEL", default="vmlinux", show_default=True,
    help="The kernel's types: vmlinux (the running one's), a file with BTF, or a directory of them"
    " as BTFHub has.",
)  # fmt: skip
@click.option(
    "-o", "--output", metavar="OUT", required=True, type=click.Path(),
    help="The file; or a directory, for every kernel of the directory KERNEL.",
)  # fmt: skip
@click.option(
    "--release", metavar="RELEASE",
    help="The kernel's, as uname -r prints it. Default: what KERNEL itself or its file's name"
    " says.",
)  # fmt: skip
def minimize(objects: tuple[str, ...], source: str, output: str, release: str | None) -> None:
    """Write the part of a kernel's BTF that the relocations of OBJ... need.

    Ship it beside the object for kernels without BTF: prog.btf for prog.bpf.o, or
    prog.btf/RELEASE.btf for several kernels. skep takes it by itself where it finds no other.
    """
    from skep.btf.target import find_target
    from skep.object.spec import ObjectSpec

    specs = [ObjectSpec.from_file(path) for path in objects]
    if not output.endswith(os.sep) and not os.path.isdir(output):
        _minimize(specs, find_target("auto" if source == "vmlinux" else source), output, release)
        return
    if not os.path.isdir(source):
        raise click.UsageError(f"-o {output} is a directory, --from {source} is not")
    from skep.btf.places import kernels_in

    for path in kernels_in(source):
        made = os.path.join(output, path.removesuffix(".tar.xz"))
        os.makedirs(os.path.dirname(made), exist_ok=True)
        _minimize(specs, find_target(os.path.join(source, path)), made, release)


def _minimize(specs: list[ObjectSpec], target: Target, output: str, release: str | None) -> None:
    """Write the file *output* for one kernel and say so."""
    from skep.btf.btf import Btf
    from skep.object.minimize import minimize, records
    from skep.object.spec import counted

    made = minimize(specs, target, release=_release(target) if release is None else release)
    with open(output, "wb") as stream:
        stream.write(made)
    questions = sum(len(list(records(spec))) for spec in specs)
    click.echo(
        f"{output}: {len(made)} bytes, {counted(len(Btf.from_bytes(made)) - 1, 'type')} of"
        f" {target.path}; answers {counted(questions, 'question')} as the whole does"
    )


def _release(target: Target) -> str:
    """Return the release of the kernel that *target* is of, "" when nothing says so."""
    from skep.btf.places import MADE_FOR
    from skep.errors import FormatError
    from skep.kernel.release import parse_release, release_name

    for text in target.require().strings_starting(MADE_FOR):
        return text.removeprefix(MADE_FOR)
    if target.source != "file":
        return release_name()
    name = os.path.basename(target.path)
    name = name.removesuffix(".tar.xz").removesuffix(".btf").removeprefix("vmlinux-")
    try:
        parse_release(name)
    except FormatError:
        return ""
    return name


def load(file: str | None, base: str | None = None) -> Btf:
    """Return the BTF of *file*, or of the running kernel; *base* is the kernel's of a module."""
    from skep.btf.kernel import kernel_btf

    if file is None:
        return kernel_btf()
    from skep.btf.btf import Btf
    from skep.btf.distilled import elf_btf
    from skep.btf.header import is_split
    from skep.btf.target import find_target
    from skep.elf.reader import ElfFile

    def kernel() -> Btf:
        return kernel_btf() if base is None else find_target(base).require()

    if file.endswith(".btf.tar.xz"):
        return find_target(file).require()
    with open(file, "rb") as stream:
        start = stream.peek(4)[:4]
        known = start == b"\x7fELF" or start[:2] in (b"\x9f\xeb", b"\xeb\x9f")
        data = stream.read() if known else stream.read(64)  # it may be a device without an end
    if start == b"\x7fELF":
        return elf_btf(ElfFile(data, file), kernel)
    try:
        split = is_split(data)
    except ValueError:
        split = False  # what is wrong with it is said below, with its name
    return Btf.from_bytes(data, base=kernel() if split else None, name=file)
