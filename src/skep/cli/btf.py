"""``skep btf``: kernel types."""

from __future__ import annotations

import sys

import click

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.btf.btf import Btf


@click.group("btf", short_help="show kernel types, as a C header for one")
def btf() -> None:
    """Types of the running kernel, or of a file with BTF."""


@btf.command("dump", short_help="print all types")
@click.argument("file", metavar="[FILE]", required=False, type=click.Path())
@click.option(
    "--format", "form", type=click.Choice(("c", "raw")), default="c", show_default=True,
    help="c: a header that compiles (vmlinux.h); raw: one line for each type.",
)  # fmt: skip
@click.option("-o", "--output", metavar="OUT", type=click.Path(), help="Write to a file.")
def dump(file: str | None, form: str, output: str | None) -> None:
    """Print every type of FILE: an ELF object with BTF, or BTF as in /sys/kernel/btf.

    Without FILE: of the running kernel. To get a vmlinux.h: skep btf dump -o vmlinux.h
    """
    types = load(file)
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


def load(file: str | None) -> Btf:
    """Return the BTF of *file*, or of the running kernel."""
    if file is None:
        from skep.btf.kernel import kernel_btf

        return kernel_btf()
    from skep.btf.btf import Btf
    from skep.elf.reader import ElfFile
    from skep.errors import NotFoundError

    with open(file, "rb") as stream:
        data = stream.read()
    if data[:4] != b"\x7fELF":
        return Btf.from_bytes(data, name=file)
    elf = ElfFile(data, file)
    section = elf.section(".BTF")
    if section is None:
        raise NotFoundError(
            f"{file} has no BTF", hint="compile it with skep build", name=".BTF", where=file
        )
    return Btf.from_bytes(bytes(elf.data(section)), name=file)
