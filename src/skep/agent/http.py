"""The agent's HTTP side: /metrics, /healthz and an index, over uvicorn in the agent's own loop.

Read-only and small on purpose. Every answer is made from one snapshot in memory, so a request
never waits for a probe; what a client can hold (connections, header bytes, time) is bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import html
import json
from email.utils import formatdate

import uvicorn
from prometheus_client.exposition import gzip_accepted
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from skep.agent import health
from skep.agent.text import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from starlette.requests import Request

    from skep.agent.metrics import Exporter
    from skep.agent.status import Snapshot

MAX_CONNECTIONS = 64
MAX_HEADER_BYTES = 16 * 1024
HEADER_TIMEOUT = 10.0  # seconds a client may take to send a request's headers
KEEP_ALIVE = 75  # seconds; more than Prometheus' usual 15 to 60 s between two scrapes
GRACE = 2  # seconds that responses under way get when the agent stops


def application(exporter: Exporter, snapshot: Callable[[], Snapshot], *, version: str) -> Starlette:
    """Return the ASGI application: three pages, GET and HEAD only."""

    async def metrics(request: Request) -> Response:
        body, content_type = exporter.render(request.headers.get("accept", ""))
        headers = {"content-type": content_type, "vary": "accept, accept-encoding"}
        if gzip_accepted(request.headers.get("accept-encoding", "")):
            # Level 1: a scrape crosses a local network at most; the CPU is what we observe.
            body = gzip.compress(body, compresslevel=1, mtime=0)
            headers["content-encoding"] = "gzip"
        return Response(body, headers=fresh(headers))

    async def healthz(_: Request) -> Response:
        state = snapshot()
        # ASCII, since a reason may quote bytes that are no UTF-8.
        body = json.dumps(health.report(state, version=version))
        headers = fresh({"content-type": "application/json"})
        return Response(body, 200 if state.healthy else 503, headers=headers)

    async def index(_: Request) -> Response:
        return HTMLResponse(page(snapshot(), version), headers=fresh({}))

    return Starlette(
        routes=[Route("/", index), Route("/metrics", metrics), Route("/healthz", healthz)]
    )


def fresh(headers: dict[str, str]) -> dict[str, str]:
    """Return *headers* with those that every answer has."""
    headers["date"] = formatdate(usegmt=True)
    headers["cache-control"] = "no-store"
    headers["x-content-type-options"] = "nosniff"
    return headers


def page(snapshot: Snapshot, version: str) -> str:
    """Return the index: what runs here and where to look."""
    rows = "".join(
        f"<tr><td>{html.escape(p.name)}</td><td>{html.escape(p.title)}</td>"
        f"<td>{html.escape(clean(p.reason(snapshot.time)) or 'up')}</td></tr>"
        for p in snapshot.probes
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>skep</title>'
        "<style>body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:50rem;"
        "padding:0 1rem}td,th{padding:.2rem 1rem .2rem 0;text-align:left}"
        "@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}a{color:#8bf}}</style>"
        f"<h1>skep {html.escape(version)}</h1>"
        f"<p>{snapshot.up} of {len(snapshot.probes)} probes are up.</p>"
        f"<table><tr><th>Probe</th><th>Measures</th><th>State</th></tr>{rows}</table>"
        '<p><a href="/metrics">/metrics</a> for Prometheus, '
        '<a href="/healthz">/healthz</a> for health checks.</p></html>\n'
    )


class Server(uvicorn.Server):
    """A uvicorn server that leaves signals to the agent and does not wake up ten times a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._stop = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no handlers: the agent's loop handles signals, once."""
        yield

    async def main_loop(self) -> None:
        """Wait to be told to stop, instead of polling a flag and refreshing a Date header."""
        await self._stop.wait()

    def stop(self) -> None:
        """Make `serve` finish what is under way and return."""
        self.should_exit = True
        self._stop.set()


class Protocol(H11Protocol):
    """uvicorn's HTTP/1.1, with a limit on the time that a request's headers may take.

    uvicorn itself only limits the silence between two requests, so a client that sends one byte
    now and then would keep its connection for ever.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._headers_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock for the first request."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
        else:
            self._headers_due = self.loop.call_later(HEADER_TIMEOUT, self._too_slow)

    def data_received(self, data: bytes) -> None:
        """Start the clock when a later request begins, stop it when its headers are complete."""
        before = self.cycle
        if self._headers_due is None and (before is None or before.response_complete):
            self._headers_due = self.loop.call_later(HEADER_TIMEOUT, self._too_slow)
        super().data_received(data)
        if self.cycle is not before:
            self._stop_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop_clock()
        super().connection_lost(exc)

    def _stop_clock(self) -> None:
        if self._headers_due is not None:
            self._headers_due.cancel()
            self._headers_due = None

    def _too_slow(self) -> None:
        self._headers_due = None
        self.transport.abort()


def server(app: Starlette) -> Server:
    """Return a server for *app*; run it with ``await server.serve(sockets=[socket])``."""
    return Server(
        uvicorn.Config(
            app,
            http=Protocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="critical",  # a client's nonsense is not our news
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            limit_concurrency=MAX_CONNECTIONS,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=GRACE,
        )
    )
