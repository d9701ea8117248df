"""``skep map``: any map of the system. Each command's module is imported when it is used."""

from __future__ import annotations

import click

COMMANDS = {
    "list": ("skep.cli.map_list:list_maps", "list the maps of the system and who uses them"),
    "show": ("skep.cli.map_show:show_map", "show one map, its types and their layout"),
    "dump": ("skep.cli.map_items:dump", "print all entries"),
    "lookup": ("skep.cli.map_items:lookup", "print the value of a key"),
    "peek": ("skep.cli.map_items:peek", "print the next value of a queue or stack"),
    "update": ("skep.cli.map_store:update", "store a value under a key"),
    "delete": ("skep.cli.map_store:delete", "remove keys"),
    "watch": ("skep.cli.map_watch:watch", "show what changes, and how fast"),
    "check": ("skep.cli.map_check:check", "say what would make a map read wrong"),
}


class Maps(click.Group):
    """Knows its commands' names without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command *cmd_name* and return it; None when there is none."""
        if cmd_name not in COMMANDS:
            return None
        from importlib import import_module

        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        made: click.Command = getattr(import_module(module), attribute)
        return made

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list, again without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.group("map", cls=Maps, short_help="look into any map: list, dump, update, watch, check")
def maps() -> None:
    """Look into any map of the system, typed by the BTF that it was created with.

    MAP is an id, the path of a pin, or a name that only one map has; id:7, pin:x and name:7 say
    which. Needs root, or CAP_SYS_ADMIN for ids and names.
    """
