"""The health report: what ``/healthz`` says, as a JSON-ready mapping."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.agent.status import Snapshot, Status


def report(snapshot: Snapshot, *, version: str) -> dict[str, object]:
    """Return the state of every probe, with the reason for each that is not up.

    ``status`` is "ok" exactly while every program is attached and was read within the last
    three intervals, else "failing".
    """
    return {
        "status": "ok" if snapshot.healthy else "failing",
        "version": version,
        "up": snapshot.up,
        "probes": {probe.name: one(probe, snapshot.time) for probe in snapshot.probes},
    }


def one(probe: Status, now: float) -> dict[str, object]:
    """Return one probe's state at *now* (monotonic seconds)."""
    reason = probe.reason(now)
    return {
        "up": not reason,
        "reason": reason,
        "phase": probe.phase.value,
        "reads": probe.reads,
        "read_errors": probe.read_errors,
        "last_read_seconds_ago": None
        if probe.last_read is None
        else round(now - probe.last_read, 3),
        "events_lost": sum(probe.losses.values()),
        "programs": [attachment.asdict() for attachment in probe.attachments],
    }
