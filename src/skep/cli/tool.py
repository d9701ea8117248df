"""A click command made from a tool's declaration."""

from __future__ import annotations

import click

from skep import tools
from skep.tools.frame import SnapshotTool
from skep.tools.options import INTERVAL, Argument, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.tools.frame import Tool


class ToolCommand(click.Command):
    """Help with examples and, for tools with an interval, bcc's ``[INTERVAL [COUNT]]``."""

    def __init__(self, tool: Tool, **attributes: Any) -> None:
        super().__init__(tool.name, **attributes)
        self.tool = tool

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        if self.tool.examples:
            with formatter.section("Examples"):
                rows = [(f"skep {line}", meaning) for line, meaning in self.tool.examples]
                formatter.write_dl(rows, col_max=50)


class OptionalArgument(click.Argument):
    """Shown as ``[NAME]`` in the usage line, as ``NAME`` in an error."""

    def make_metavar(self, ctx: click.Context) -> str:
        """Return the name in brackets."""
        return f"[{self.metavar}]"

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """Return the bare name."""
        return f"'{self.metavar}'"


def command(name: str) -> click.Command:
    """Return the command of the tool called *name*."""
    tool = tools.find(name)
    parameters: list[click.Parameter] = [_argument(one) for one in tool.arguments]
    if isinstance(tool, SnapshotTool):
        parameters += [_argument(INTERVAL_ARGUMENT), _argument(COUNT_ARGUMENT)]
    parameters += [_option(one) for one in (*tool.options, *tool.common, *tool.presentation)]
    return ToolCommand(
        tool,
        params=parameters,
        callback=lambda **given: execute(tool, given),
        help=tool.description or tool.summary,
        short_help=tool.summary,
        context_settings={"max_content_width": 100},
    )


INTERVAL_ARGUMENT = Argument(
    "every", kind=float, metavar="INTERVAL", minimum=0.01, required=False, help=INTERVAL.help
)
COUNT_ARGUMENT = Argument(
    "count", kind=int, metavar="COUNT", minimum=1, required=False, help="Stop after so many."
)


def _type(option: Option) -> click.ParamType[Any]:
    # Ranges are not click's business: `Option.check` knows them, for every caller.
    if isinstance(option.kind, tuple):
        return click.Choice(option.kind)
    types: dict[object, click.ParamType[Any]] = {int: click.INT, float: click.FLOAT}
    return types.get(option.kind, click.STRING)


def _argument(argument: Argument) -> click.Argument:
    kind = click.Argument if argument.required else OptionalArgument
    return kind(
        [argument.name],
        type=_type(argument),
        required=argument.required,
        metavar=argument.metavar,
    )


def _option(option: Option) -> click.Option:
    if option.kind is bool:
        return click.Option([*option.flags, option.name], is_flag=True, help=option.help)
    return click.Option(
        [*option.flags, option.name],
        type=_type(option),
        default=option.default,
        show_default=option.default is not None,
        metavar=option.metavar or None,
        help=option.help,
    )


def execute(tool: Tool, given: dict[str, Any]) -> int:
    """Run *tool* with everything the command line gave; return the exit status."""
    from skep.errors import RangeError
    from skep.tools.loop import Schedule, run
    from skep.tools.output import choose

    known = {option.name for option in tool.accepted}
    wanted = {name: value for name, value in given.items() if name in known}
    try:
        for option in (*tool.presentation, INTERVAL_ARGUMENT, COUNT_ARGUMENT):
            option.check(given.get(option.name))
        schedule = Schedule(
            interval=given.get("interval") or given.get("every"),
            count=given.get("count"),
            duration=given.get("duration"),
        )
        options = tool.options_of(wanted)
    except RangeError as error:
        raise click.UsageError(str(error)) from error
    if answer := tool.answer(options):
        click.echo(answer)
        return 0
    timestamp = bool(given.get("timestamp")) and "timestamp" not in known
    output = choose(tool, options, kind=given["output"], timestamp=timestamp)
    run(tool, wanted, output, schedule)
    return 0
