"""The root of the commands: lists them all, imports the one that is used."""

from __future__ import annotations

import os
import sys

import click

from skep.tools import SUMMARIES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Commands that are not tools: "module:attribute" and the line in `skep --help`.
COMMANDS = {
    "run": ("skep.cli.run:run", "run the agent: metrics for Prometheus, a live table"),
    "build": ("skep.cli.build:build", "compile a BPF C source into a CO-RE object"),
    "gen": ("skep.cli.gen:gen", "write a typed Python module for an object file"),
    "check": ("skep.cli.check:check", "load an object without attaching it, and say what fails"),
    "object": ("skep.cli.object:object_", "look into an object: programs, maps, relocations"),
    "map": ("skep.cli.maps:maps", "look into any map: list, dump, update, watch, check"),
    "btf": ("skep.cli.btf:btf", "show kernel types, as a C header for one"),
    "version": ("skep.cli.version:version", "print the versions that matter in a report"),
}


class Root(click.Group):
    """Knows every command's name and summary without importing it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return [*COMMANDS, *SUMMARIES]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command *cmd_name* and return it; None when there is none."""
        if cmd_name in SUMMARIES:
            from skep.cli.tool import command

            return command(cmd_name)
        if cmd_name not in COMMANDS:
            return None
        from importlib import import_module

        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        made: click.Command = getattr(import_module(module), attribute)
        return made

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; suggest close names when there is none."""
        name = args[0]
        if name not in COMMANDS and name not in SUMMARIES and not name.startswith("-"):
            from difflib import get_close_matches

            close = get_close_matches(name, self.list_commands(ctx), 3)
            hint = f" Did you mean {', '.join(close)}?" if close else ""
            ctx.fail(f"There is no command {name!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write both lists."""
        with formatter.section("Tools"):
            formatter.write_dl(list(SUMMARIES.items()))
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.group(
    cls=Root,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Every command explains itself: skep COMMAND --help",
)
@click.version_option(package_name="skep", prog_name="skep", message="%(prog)s %(version)s")
def root() -> None:
    """Look into this machine's kernel and programs with eBPF: tools, an agent, a compiler."""


def invoke(arguments: list[str]) -> int:
    """Run the command that *arguments* name; return its exit status (2 for wrong usage)."""
    if "_SKEP_COMPLETE" in os.environ:
        root.main(arguments, prog_name="skep")  # a shell asks for completions; does not return
    try:
        # Not root.main(): it ends with status 1 and without a word when a pipe is closed.
        with root.make_context("skep", list(arguments)) as context:
            result: Any = root.invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        error.show(sys.stderr)
        return error.exit_code
    except click.Abort:
        return 130
    return result if isinstance(result, int) and not isinstance(result, bool) else 0
