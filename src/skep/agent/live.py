"""The live table: what the agent shows on a terminal while it runs."""

from __future__ import annotations

from rich.console import Group
from rich.layout import Layout
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from skep.agent.plain import rate
from skep.agent.text import bar, clean, duration, number, sparkline
from skep.agent.trend import CounterTrend, HistogramTrend, Trends

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from skep.agent.status import Snapshot, Status


class LiveView:
    """Draws snapshots on *console*'s alternate screen, from `start` to `stop`.

    Draws only in `update`, in the caller's thread: no refresh thread, no timer.
    """

    def __init__(self, console: Console, *, header: str) -> None:
        self._console = console
        self._header = header
        self._trends = Trends()
        self._live = Live(console=console, screen=True, auto_refresh=False, transient=True)

    def start(self) -> None:
        """Switch to the alternate screen."""
        self._live.start()

    def stop(self) -> None:
        """Give the terminal back as it was."""
        self._live.stop()

    def update(self, snapshot: Snapshot) -> None:
        """Draw *snapshot*."""
        self._trends.update(snapshot)
        self._live.update(
            draw(snapshot, self._trends, self._header, *self._console.size), refresh=True
        )


def draw(
    snapshot: Snapshot, trends: Trends, header: str, width: int, height: int
) -> RenderableType:
    """Return the whole screen: a header line, a panel a probe in two columns."""
    columns = 2 if width >= 80 else 1
    rows = max(1, -(-len(snapshot.probes) // columns))
    tall = [(height - 1) // rows + (row < (height - 1) % rows) for row in range(rows)]
    screen = Layout()
    body = [Layout(size=tall[row]) for row in range(rows)]
    screen.split_column(Layout(heading(snapshot, header, width), size=1), *body)
    for row, layout in enumerate(body):
        probes = snapshot.probes[row * columns : (row + 1) * columns]
        wide = width // max(1, len(probes))
        layout.split_row(*(Layout(panel(p, snapshot, trends, wide, tall[row])) for p in probes))
    return screen


def heading(snapshot: Snapshot, header: str, width: int) -> Text:
    """Return the first line: how many probes are up, and where the metrics are."""
    style = "bold black on green" if snapshot.healthy else "bold white on red"
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f" {snapshot.up}/{len(snapshot.probes)} up ", style=style)
    text.append(f" {header}")
    lost = sum(sum(probe.losses.values()) for probe in snapshot.probes)
    if lost:
        text.append(f"  {number(lost)} events lost", style="yellow")
    text.append("  Ctrl-C stops", style="dim")
    text.truncate(width)
    return text


def panel(probe: Status, snapshot: Snapshot, trends: Trends, width: int, height: int) -> Panel:
    """Return one probe's panel, *width* by *height* with its border."""
    wide, tall = width - 4, height - 2
    reason = probe.reason(snapshot.time)
    parts: list[RenderableType] = []
    if reason:
        parts.append(Text(clean(reason), style="red"))
    subtitle = ""
    for trend in trends.of(probe.name):
        if isinstance(trend, HistogramTrend):
            subtitle = histogram_title(trend)
            parts.append(histogram(trend, wide, tall))
        elif trend.rates and trend.rates[0][0]:
            subtitle = f"{rate(trend, trend.total)} {sparkline(trend.history, 20)}"
            parts.append(top(trend, wide, tall))
        else:
            parts.append(
                Text(f"{rate(trend, trend.total):>9} {sparkline(trend.history, wide - 10)}")
            )
    parts.extend(
        Text(clean(line), no_wrap=True, overflow="ellipsis", style="dim")
        for line in list(reversed(probe.recent))[: max(0, tall - 1)]
    )
    return Panel(
        Group(*parts),
        title=probe.title,
        title_align="left",
        subtitle=subtitle or None,
        subtitle_align="right",
        border_style="red" if reason else "dim",
        height=height,
        padding=(0, 1),
    )


def histogram_title(trend: HistogramTrend) -> str:
    """Return the percentiles of what was added last, and how it developed."""
    if trend.latest is None or not trend.latest.total:
        return ""
    quantiles = ((share, trend.latest.quantile(share)) for share in (0.5, 0.99))
    shown = " ".join(f"p{share * 100:.0f}<{duration(q)}" for share, q in quantiles if q is not None)
    return f"{shown} {sparkline(trend.history, 20)}"


def histogram(trend: HistogramTrend, width: int, height: int) -> Table:
    """Return the bars of the buckets between the first and last that are not empty."""
    table = Table.grid(padding=(0, 1), expand=False)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    latest = trend.latest
    filled = [] if latest is None else [i for i, count in enumerate(latest.counts) if count]
    if latest is None or not filled:
        return table
    # What does not fit is cut at the fast end: the slow end is why one looks.
    first, last = max(filled[0], filled[-1] - height + 1), filled[-1]
    most = max(latest.counts)
    for slot in range(first, last + 1):
        low = duration(latest.bounds[slot - 1]) if slot else "0"
        label = (
            f"{low} - {duration(latest.bounds[slot])}" if slot < len(latest.bounds) else f"≥ {low}"
        )
        count = latest.counts[slot]
        table.add_row(
            Text(label, style="cyan"),
            str(count),
            Text(bar(count / most, width - 28), style="green"),
        )
    return table


def top(trend: CounterTrend, width: int, height: int) -> Table:
    """Return the labels that grow fastest, with their share of the fastest and their past."""
    table = Table.grid(padding=(0, 1), expand=False)
    table.add_column(no_wrap=True, max_width=18)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    past = max(0, min(20, width - 44))
    most = trend.rates[0][1]
    for labels, value in trend.rates[:height]:
        table.add_row(
            Text(clean(" ".join(labels)), style="cyan", overflow="ellipsis"),
            rate(trend, value),
            Text(bar(value / most, max(4, width - 18 - 10 - past - 4)), style="green"),
            Text(sparkline(trend.histories[labels], past), style="dim"),
        )
    return table
