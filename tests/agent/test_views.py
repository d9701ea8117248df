"""What a person sees: rates from totals, the plain line, the live table."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from skep.agent.families import Counter, Distribution, Histogram
from skep.agent.live import LiveView, draw
from skep.agent.plain import PlainView
from skep.agent.status import Phase, Snapshot, Status
from skep.agent.text import bar, clean, duration, number, sparkline
from skep.agent.trend import CounterTrend, HistogramTrend, Trends


def snapshot(time: float, calls: dict[str, float], counts: tuple[int, ...] = (0, 0, 0)) -> Snapshot:
    families = (
        Counter("calls_total", "Calls.", {(k,): v for k, v in calls.items()}, labels=["name"]),
        Counter("cpu_seconds_total", "CPU.", {("sh",): time / 2}, labels=["comm"]),
        Counter("starts_total", "Starts.", {(): time * 3}),
        Histogram("wait_seconds", "Waits.", {(): Distribution((1e-6, 1e-3), counts, 0.0)}),
    )
    probes = [
        Status(
            family.name.partition("_")[0],
            family.help,
            interval=1,
            phase=Phase.RUNNING,
            last_read=time,
            families=[family],
            recent=["  12  /bin/true", "  13  evil \x1b[31m"] if "starts" in family.name else (),
        )
        for family in families
    ]
    return Snapshot(time, probes)


def test_rates_are_growth_by_time() -> None:
    trends = Trends()
    trends.update(snapshot(10, {"a": 100, "b": 5}))
    trends.update(snapshot(12, {"a": 104, "b": 25, "c": 2}, (2, 0, 0)))
    (calls,) = trends.of("calls")
    assert isinstance(calls, CounterTrend)
    assert calls.rates == [(("b",), 10.0), (("a",), 2.0), (("c",), 1.0)]
    assert (calls.total, list(calls.history)) == (13.0, [13.0])
    (waits,) = trends.of("wait")
    assert isinstance(waits, HistogramTrend)
    assert waits.latest is not None
    assert (waits.rate, waits.latest.counts) == (1.0, (2, 0, 0))


def test_a_probe_that_was_not_read_again_keeps_its_rates() -> None:
    trends = Trends()
    trends.update(snapshot(10, {"a": 1}))
    second = snapshot(11, {"a": 3})
    trends.update(second)
    trends.update(second)
    (calls,) = trends.of("calls")
    assert isinstance(calls, CounterTrend)
    assert (calls.rates, len(calls.history)) == ([(("a",), 2.0)], 1)


def test_the_plain_view_writes_a_line_at_its_interval() -> None:
    output = io.StringIO()
    view = PlainView(output, every=10)
    for second in range(25):
        view.update(snapshot(float(second), {"a": 50.0 * second, "b": 1}, (second, 0, 0)))
    lines = output.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[0].split(" ", 1)[1] == (
        "up 4/4  calls 50.0/s (a 50.0/s)  cpu 50.0% (sh 50.0%)  starts 3/s  "
        "wait p50<1us p99<1us 1/s"
    )


def test_the_plain_view_says_at_once_when_a_probe_goes_and_comes() -> None:
    output = io.StringIO()
    view = PlainView(output, every=1000)
    good = snapshot(0.0, {"a": 1})
    bad = Snapshot(1.0, [p.but(problem="the link is gone") for p in good.probes[:1]])
    late = Snapshot(9.0, good.probes[:1])
    for state in (good, bad, bad, good, late):
        view.update(state)
    assert [line.split(" ", 1)[1] for line in output.getvalue().splitlines()] == [
        "calls: the link is gone",
        "calls: up again",
        "calls: it was last read 9.0 s ago and should be every 1 s",
    ]


@pytest.mark.parametrize(("width", "height"), [(120, 36), (80, 24), (60, 20), (20, 6), (1, 1)])
def test_the_live_table_fits_any_terminal(width: int, height: int) -> None:
    trends = Trends()
    trends.update(snapshot(1, {"a": 1}))
    state = snapshot(2, {f"call{i}": float(i) for i in range(1, 50)}, (3, 2, 1))
    trends.update(state)
    output = io.StringIO()
    console = Console(
        file=output, width=width, height=height, force_terminal=True, color_system=None
    )
    console.print(draw(state, trends, "header", width, height))
    lines = output.getvalue().rstrip("\n").split("\n")
    assert len(lines) <= height
    assert all(len(line) <= width for line in lines)
    text = output.getvalue()
    assert "\x1b[31m" not in text  # a program's arguments must not reach the terminal as they are
    if width == 120:
        for expected in (
            "4/4 up",
            "call49",
            "49.0/s",
            "1us - 1ms",
            "p50<1us",
            "50.0%",
            "/bin/true",
        ):
            assert expected in text, expected


def test_the_live_view_gives_the_terminal_back() -> None:
    output = io.StringIO()
    view = LiveView(Console(file=output, width=80, height=24, force_terminal=True), header="h")
    view.start()
    view.update(snapshot(1, {"a": 1}))
    view.stop()
    view.stop()
    assert output.getvalue().startswith("\x1b[?1049h")
    assert output.getvalue().endswith("\x1b[?25h\x1b[?1049l")  # the cursor, then the screen


def test_the_reason_of_a_probe_that_is_down_is_on_its_panel() -> None:
    state = Snapshot(
        1.0, [Status("x", "Title", interval=1, phase=Phase.FAILED, problem="no such tracepoint")]
    )
    output = io.StringIO()
    Console(file=output, width=80, height=10).print(draw(state, Trends(), "h", 80, 10))
    assert "0/1 up" in output.getvalue()
    assert "no such tracepoint" in output.getvalue()


def test_text() -> None:
    assert [duration(s) for s in (2e-6, 1.024e-3, 0.000128, 0.016384, 16.777216, 0)] == [
        "2us", "1.02ms", "128us", "16.4ms", "16.8s", "0",
    ]  # fmt: skip
    assert [number(v) for v in (0.25, 7, 12.34, 735600, 1.25e6, 9999, 31000)] == [
        "0.25", "7", "12.3", "735.6k", "1.25M", "9999", "31.0k",
    ]  # fmt: skip
    assert (bar(1, 3), bar(0.5, 1), bar(0, 3), bar(1e-9, 3), bar(9, 2)) == (
        "███",
        "▌",
        "",
        "▏",
        "██",
    )
    assert sparkline([0, 4, 8], 3) == "▁▄█"
    assert sparkline([5, 0, 0], 2) == "▁▁"
    assert sparkline([], 3) == ""
    assert clean("a\x1b\n\udcff") == "a\\x1b\\n\\udcff"
