"""The Prometheus text, read back with prometheus_client's own parser."""

from __future__ import annotations

import math
from time import monotonic
from typing import TYPE_CHECKING

from agent_support import MemoryProbe
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_parse
from prometheus_client.parser import text_string_to_metric_families as parse

from skep.agent.families import Counter
from skep.agent.metrics import Exporter
from skep.agent.status import Phase, Snapshot, Status

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric


def snapshot(*, problem: str = "") -> Snapshot:
    probe = MemoryProbe()
    now = monotonic()
    running = Status(
        "memory",
        probe.title,
        interval=1.0,
        phase=Phase.RUNNING,
        problem=problem,
        last_read=now - 0.25,
        reads=3,
        read_errors=1,
        read_seconds=0.002,
        families=probe.collect(),
        losses=probe.losses(),
        attachments=probe.attachments(),
    )
    failed = Status("broken", "x", interval=1.0, phase=Phase.FAILED, problem="it is broken")
    return Snapshot(now, [running, failed])


def scrape(state: Snapshot) -> dict[str, Metric]:
    body, content_type = Exporter(lambda: state, version="1.2.3").render()
    assert content_type.startswith("text/plain; version=")
    return {family.name: family for family in parse(body.decode())}


def values(family: Metric) -> dict[tuple[str, ...], float]:
    return {(s.name, *s.labels.values()): s.value for s in family.samples}


def test_the_families_of_a_probe_arrive_as_they_are() -> None:
    families = scrape(snapshot())
    assert families["test_reads"].type == "counter"
    assert values(families["test_reads"]) == {("test_reads_total",): 1.0}
    assert values(families["test_by_name"]) == {
        ("test_by_name_total", "a"): 1.0,
        ("test_by_name_total", 'q"\\\n'): 2.0,
    }
    assert values(families["test_level"]) == {("test_level",): -1.5}


def test_histograms_are_cumulative_with_sum_and_count() -> None:
    family = scrape(snapshot())["test_seconds"]
    assert family.type == "histogram"
    assert values(family) == {
        ("test_seconds_bucket", "0.001"): 1,
        ("test_seconds_bucket", "0.002"): 1,
        ("test_seconds_bucket", "0.004"): 3,
        ("test_seconds_bucket", "+Inf"): 4,
        ("test_seconds_count",): 4,
        ("test_seconds_sum",): 0.5,
    }


def test_the_agent_says_how_its_probes_are() -> None:
    families = scrape(snapshot())
    assert values(families["skep_probe_up"]) == {
        ("skep_probe_up", "memory"): 1.0,
        ("skep_probe_up", "broken"): 0.0,
    }
    assert values(families["skep_probe_reads"])["skep_probe_reads_total", "memory"] == 3
    assert values(families["skep_probe_read_errors"])["skep_probe_read_errors_total", "memory"] == 1
    assert values(families["skep_probe_events_lost"]) == {
        ("skep_probe_events_lost_total", "memory", "full"): 7.0
    }
    (age,) = families["skep_probe_last_read_age_seconds"].samples  # none for the one never read
    assert math.isclose(age.value, 0.25, abs_tol=1e-6)
    assert families["skep_build_info"].samples[0].labels["version"] == "1.2.3"
    assert values(scrape(snapshot(problem="x"))["skep_probe_up"])["skep_probe_up", "memory"] == 0.0


def test_a_scrape_counts_the_ones_before_it() -> None:
    exporter = Exporter(snapshot, version="1")
    first, second = (
        {family.name: family for family in parse(exporter.render()[0].decode())} for _ in range(2)
    )
    assert values(first["skep_scrape_duration_seconds"])["skep_scrape_duration_seconds_count",] == 0
    counted = values(second["skep_scrape_duration_seconds"])
    assert counted["skep_scrape_duration_seconds_count",] == 1
    assert 0 < counted["skep_scrape_duration_seconds_sum",] < 1
    assert first["process_resident_memory_bytes"].samples[0].value > 1e6
    assert first["process_cpu_seconds"].samples[0].value > 0


def test_open_metrics_is_spoken_when_asked_for() -> None:
    state = snapshot()
    body, content_type = Exporter(lambda: state, version="1").render("application/openmetrics-text")
    assert content_type.startswith("application/openmetrics-text")
    names = {family.name for family in open_parse(body.decode())}  # type: ignore[no-untyped-call]
    assert {"test_reads", "test_seconds", "skep_probe_up"} <= names


def test_label_bytes_that_are_no_text_are_escaped() -> None:
    hostile = b"a\xffb".decode("utf-8", "surrogateescape")
    family = Counter("odd_total", "Odd.", {(hostile,): 1.0, ("ü",): 2.0}, labels=["comm"])
    state = Snapshot(
        0.0, [Status("p", "p", interval=1, phase=Phase.RUNNING, families=[family], last_read=0.0)]
    )
    assert values(scrape(state)["odd"]) == {
        ("odd_total", "a\\xffb"): 1.0,
        ("odd_total", "ü"): 2.0,
    }
