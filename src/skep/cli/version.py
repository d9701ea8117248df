"""``skep version``."""

from __future__ import annotations

import click


@click.command("version", short_help="print the versions that matter in a report")
def version() -> None:
    """Print the versions of skep, Python and the kernel."""
    import os
    import sys

    import skep

    system = os.uname()
    click.echo(f"skep {skep.__version__}")
    click.echo(f"Python {sys.version.split()[0]}")
    click.echo(f"{system.sysname} {system.release} {system.machine}")
