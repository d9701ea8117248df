"""Prometheus text from a snapshot: the probes' families and the agent's own.

`Exporter` is a custom collector on a registry of its own (never the library's global one), so
each scrape converts one immutable `Snapshot` and touches no probe.
"""

from __future__ import annotations

import platform
from time import perf_counter

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from skep.agent.families import AnyFamily, Counter, Histogram

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from skep.agent.status import Snapshot, Status


class Exporter(Collector):
    """Turns what *snapshot* returns into Prometheus' formats. Not thread-safe: one loop's."""

    def __init__(self, snapshot: Callable[[], Snapshot], *, version: str) -> None:
        self._snapshot = snapshot
        self._version = version
        self._scrapes = 0
        self._scrape_seconds = 0.0
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(self)
        # process_cpu_seconds_total, process_resident_memory_bytes, process_open_fds, ...: the
        # names that every Prometheus dashboard expects of a process.
        ProcessCollector(registry=self.registry)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Return the body and content type for a scrape with this ``Accept`` header."""
        started = perf_counter()
        encode, content_type = choose_encoder(accept)
        body = encode(self.registry)
        self._scrapes += 1
        self._scrape_seconds += perf_counter() - started
        return body, content_type

    def collect(self) -> Iterator[Metric]:
        """Yield every metric of one snapshot (`prometheus_client.registry.Collector`)."""
        snapshot = self._snapshot()
        yield from self._about_the_agent()
        yield from about_the_probes(snapshot)
        for probe in snapshot.probes:
            yield from map(convert, probe.families)

    def _about_the_agent(self) -> Iterator[Metric]:
        build = GaugeMetricFamily(
            "skep_build_info", "The running skep: always 1.", labels=("version", "python", "kernel")
        )
        build.add_metric((self._version, platform.python_version(), platform.release()), 1)
        yield build
        # A scrape cannot contain its own duration: this one counts with the next.
        yield SummaryMetricFamily(
            "skep_scrape_duration_seconds",
            "Time spent rendering earlier scrapes.",
            count_value=self._scrapes,
            sum_value=self._scrape_seconds,
        )


def about_the_probes(snapshot: Snapshot) -> Iterator[Metric]:
    """Yield the metrics that say how the probes themselves are doing."""

    def gauge(name: str, help: str, values: Iterable[tuple[Status, float]]) -> Metric:
        family = GaugeMetricFamily(name, help, labels=("probe",))
        for probe, value in values:
            family.add_metric((probe.name,), value)
        return family

    def counter(name: str, help: str, values: Iterable[tuple[Status, float]]) -> Metric:
        family = CounterMetricFamily(name, help, labels=("probe",))
        for probe, value in values:
            family.add_metric((probe.name,), value)
        return family

    probes = snapshot.probes
    yield gauge(
        "skep_probe_up",
        "1 while every program of the probe is attached and it is being read.",
        ((p, not p.reason(snapshot.time)) for p in probes),
    )
    yield counter(
        "skep_probe_reads_total", "Successful reads of the probe.", ((p, p.reads) for p in probes)
    )
    yield counter(
        "skep_probe_read_errors_total",
        "Reads of the probe that failed.",
        ((p, p.read_errors) for p in probes),
    )
    yield gauge(
        "skep_probe_read_duration_seconds",
        "How long the last successful read took.",
        ((p, p.read_seconds) for p in probes),
    )
    yield gauge(
        "skep_probe_last_read_age_seconds",
        "Time since the last successful read ended.",
        ((p, snapshot.time - p.last_read) for p in probes if p.last_read is not None),
    )
    yield gauge(
        "skep_probe_programs",
        "Programs that the probe has attached.",
        ((p, len(p.attachments)) for p in probes),
    )
    lost = CounterMetricFamily(
        "skep_probe_events_lost_total",
        "Events that found no room in a map or buffer of the probe, by reason.",
        labels=("probe", "reason"),
    )
    for probe in probes:
        for reason, count in sorted(probe.losses.items()):
            lost.add_metric((probe.name, reason), count)
    yield lost


def convert(family: AnyFamily) -> Metric:
    """Return the prometheus_client form of one of our families."""
    if isinstance(family, Histogram):
        histogram = HistogramMetricFamily(family.name, family.help, labels=family.labels)
        for labels, distribution in family.samples.items():
            buckets = []
            seen = 0
            bounds = (*distribution.bounds, float("inf"))
            for bound, count in zip(bounds, distribution.counts, strict=True):
                seen += count
                buckets.append((le(bound), float(seen)))
            histogram.add_metric(labels, buckets, distribution.sum)
        return histogram
    kind = CounterMetricFamily if isinstance(family, Counter) else GaugeMetricFamily
    converted = kind(family.name, family.help, labels=family.labels)
    for labels, value in family.samples.items():
        # Label values are the kernel's bytes; a lone surrogate could not be sent as UTF-8.
        converted.add_metric([readable(label) for label in labels], value)
    return converted


def le(bound: float) -> str:
    """Write a bucket's bound as other clients do: ``0.001024``, ``+Inf``."""
    return str(floatToGoString(bound))  # type: ignore[no-untyped-call]  # the library's gap


def readable(label: str) -> str:
    r"""Return *label* with bytes that are not UTF-8 written as ``\xNN``."""
    if label.isascii():
        return label
    return label.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
