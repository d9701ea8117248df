"""``skep gen``: an object file into a typed Python module."""

from __future__ import annotations

import os
import sys

import click

from skep.errors import NotFoundError, RangeError


@click.command("gen", short_help="write a typed Python module for an object file")
@click.argument("file", metavar="FILE", type=click.Path(readable=False))
@click.option(
    "-o", "--output", metavar="OUT", type=click.Path(),
    help="Where to write the module; - for standard output. Default: beside FILE, with .py.",
)  # fmt: skip
@click.option("--embed", is_flag=True, help="Put the object into the module, which then is all.")
@click.option(
    "--type", "types", multiple=True, metavar="NAME",
    help="Write a class of this struct or enum too, though no map or variable has one.",
)  # fmt: skip
@click.option("--check", is_flag=True, help="Write nothing; status 1 when OUT is out of date.")
def gen(file: str, output: str | None, embed: bool, types: tuple[str, ...], check: bool) -> int:
    """Write a Python module with the maps, programs, variables and types of FILE.

    Its classes have the names that C gave; mypy and editors know what every map holds. The module
    reads FILE, from the place where it is now, when it is used. The same object gives the same
    module on every machine. None of this needs privileges.
    """
    from skep.bindings.check import written_by_us
    from skep.bindings.write import generate
    from skep.object.spec import ObjectSpec

    spec = ObjectSpec.from_file(file)
    out = output or _beside(file)
    where = os.path.dirname(out) if out != "-" else os.path.dirname(file)
    object_ = os.path.relpath(file, where or ".").replace(os.sep, "/")
    text = generate(spec, object=object_, embed=embed, types=types)
    if check:
        return _check(out, text, file)
    if out == "-":
        click.echo(text, nl=False)
        return 0
    if not written_by_us(out):
        message = f"{out} was not written by skep gen, so it is left as it is"
        raise RangeError(message, hint="name another file with -o, or remove it first")
    _replace(out, text)
    click.echo(out)
    return 0


def _replace(out: str, text: str) -> None:
    """Write the module in one step: when the disk is full, or on Ctrl-C, the old one stays."""
    out = os.path.realpath(out)
    fresh = f"{out}.{os.getpid()}.new"
    try:
        with open(fresh, "x", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        if os.path.exists(out):
            os.chmod(fresh, os.stat(out).st_mode & 0o777)
        os.replace(fresh, out)
    except OSError as error:
        raise OSError(error.errno, error.strerror, out) from None
    finally:
        if os.path.lexists(fresh):
            os.unlink(fresh)


def _beside(file: str) -> str:
    """Return the module's path for an object's: ``my-prog.bpf.o`` gives ``my_prog.py``.

    ``socket.bpf.o`` gives ``socket_bpf.py``: beside a ``socket.py`` half of Python would not start.
    """
    from skep.bindings.names import identifier

    folder, name = os.path.split(file)
    stem = identifier(name.removesuffix(".o").removesuffix(".bpf"))
    if stem in sys.stdlib_module_names or stem in ("skep", "numpy"):
        stem += "_bpf"
    return os.path.join(folder, f"{stem}.py")


def _check(out: str, text: str, file: str) -> int:
    from skep.bindings.check import difference
    from skep.tools.table import printable

    if out == "-":
        message = "--check needs a module to compare with"
        raise NotFoundError(message, hint="name it with -o")
    lines = difference(out, text)
    if not lines:
        return 0
    told = "\n".join(f"  {printable(line)}" for line in lines)
    click.echo(f"skep: {out} is not what {file} gives:\n{told}", err=True)
    click.echo(f"write it anew: skep gen {file} -o {out}", err=True)
    return 1
