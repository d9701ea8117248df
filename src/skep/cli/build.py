"""``skep build``: a BPF C source into an object."""

from __future__ import annotations

import click

TARGETS = ("bpfel", "bpfeb")


@click.command("build", short_help="compile a BPF C source into a CO-RE object")
@click.argument("source", metavar="SRC", type=click.Path())
@click.option(
    "-o", "--output", metavar="OUT", type=click.Path(),
    help="Where to write the object. Default: SRC with .o instead of .c, in the same folder.",
)  # fmt: skip
@click.option(
    "--target", type=click.Choice(TARGETS),
    help="Byte order of the machine it is for. Default: this machine's.",
)  # fmt: skip
@click.option(
    "--compiler", metavar="NAME", default="auto", show_default=True,
    help="clang, ziglang (from PyPI) or a path. auto takes clang if there is one.",
)  # fmt: skip
@click.option(
    "-I", "--include", "includes", multiple=True, metavar="DIR", help="Search headers in DIR."
)
@click.option(
    "-D", "--define", "defines", multiple=True, metavar="NAME[=VALUE]", help="Define a macro."
)
def build(
    source: str,
    output: str | None,
    target: str | None,
    compiler: str,
    includes: tuple[str, ...],
    defines: tuple[str, ...],
) -> None:
    """Compile SRC, a BPF program in C, into an object that skep and any CO-RE loader can load.

    skep's headers are found by themselves: #include <skep/bpf.h>. The result is the same bytes
    wherever it is built with the same compiler.
    """
    import warnings

    from skep.build.compiler import compile as compile_source

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made = compile_source(
            source,
            output,
            target=target,
            compiler=compiler,
            includes=includes,
            defines=defines,
        )
    for warning in caught:
        click.echo(str(warning.message).rstrip(), err=True)
    click.echo(made)
