"""The HTTP side over real sockets: what it answers, and what a bad client cannot do."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
from typing import TYPE_CHECKING

import pytest
from agent_support import MemoryProbe

from skep.agent import address, http
from skep.agent.metrics import Exporter
from skep.agent.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

Reply = tuple[int, dict[str, str], bytes]


@contextlib.asynccontextmanager
async def serving(probe: MemoryProbe) -> AsyncIterator[int]:
    """Serve one probe on a free port."""
    sock = address.listen("127.0.0.1", 0)
    port = sock.getsockname()[1]
    async with Supervisor([probe], interval=0.02) as supervisor:
        await supervisor.read_once()
        exporter = Exporter(supervisor.snapshot, version="1.2.3")
        server = http.server(http.application(exporter, supervisor.snapshot, version="1.2.3"))
        task = asyncio.create_task(server.serve(sockets=[sock]))
        try:
            yield port
        finally:
            server.stop()
            await asyncio.wait_for(task, 5)
            sock.close()


async def request(port: int, target: str, *, method: str = "GET", headers: str = "") -> Reply:
    """Send one request on a connection of its own and return status, headers and body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n".encode()
    )
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in rest)
    return int(first.split()[1]), fields, body


def serve(test: Callable[[int, MemoryProbe], Awaitable[None]]) -> None:
    """Run *test* against a server."""

    async def run() -> None:
        probe = MemoryProbe()
        async with serving(probe) as port:
            await test(port, probe)

    asyncio.run(run())


def test_metrics_plain_and_compressed() -> None:
    async def test(port: int, _: MemoryProbe) -> None:
        status, headers, body = await request(port, "/metrics")
        assert status == 200
        assert headers["content-type"].startswith("text/plain; version=")
        assert "date" in headers
        assert b'skep_probe_up{probe="memory"} 1.0' in body
        status, headers, packed = await request(
            port, "/metrics", headers="Accept-Encoding: gzip\r\n"
        )
        assert headers["content-encoding"] == "gzip"
        assert b"test_reads_total" in gzip.decompress(packed)

    serve(test)


def test_health_turns_503_with_the_reason_and_back() -> None:
    async def test(port: int, probe: MemoryProbe) -> None:
        status, _, body = await request(port, "/healthz")
        assert (status, json.loads(body)["status"]) == (200, "ok")
        probe.problem = "the link is gone \udcff"
        before = probe.reads
        while probe.reads < before + 2:  # noqa: ASYNC110  a thread does it
            await asyncio.sleep(0.005)
        status, headers, body = await request(port, "/healthz")
        report = json.loads(body)
        assert (status, report["status"]) == (503, "failing")
        assert report["probes"]["memory"]["reason"] == "the link is gone \udcff"
        assert report["probes"]["memory"]["programs"][0]["target"] == "tp_btf/nothing"
        assert headers["content-type"] == "application/json"
        assert b"the link is gone \\udcff" in (await request(port, "/"))[2]
        status, _, body = await request(port, "/metrics")
        assert (status, b'skep_probe_up{probe="memory"} 0.0' in body) == (200, True)
        probe.problem = ""

    serve(test)


def test_a_scrape_does_not_wait_for_a_stuck_probe() -> None:
    async def test(port: int, probe: MemoryProbe) -> None:
        probe.go_on.clear()
        probe.entered.clear()
        while not probe.entered.is_set():  # noqa: ASYNC110  a thread does it
            await asyncio.sleep(0.002)
        status, _, body = await asyncio.wait_for(request(port, "/metrics"), 1)
        assert (status, b"test_reads_total" in body) == (200, True)
        probe.go_on.set()

    serve(test)


def test_the_index_links_to_both_and_names_the_probes() -> None:
    async def test(port: int, _: MemoryProbe) -> None:
        status, headers, body = await request(port, "/")
        assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert b'href="/metrics"' in body
        assert b'href="/healthz"' in body
        assert b"Reads of itself" in body

    serve(test)


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("HEAD", "/metrics", 200),
        ("POST", "/metrics", 405),
        ("DELETE", "/", 405),
        ("GET", "/x", 404),
    ],
)
def test_only_get_and_head(method: str, target: str, status: int) -> None:
    async def test(port: int, _: MemoryProbe) -> None:
        answer = await request(port, target, method=method)
        assert answer[0] == status
        assert method != "HEAD" or answer[2] == b""

    serve(test)


def test_headers_without_end_are_refused() -> None:
    async def test(port: int, _: MemoryProbe) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nX: " + b"x" * (2 * http.MAX_HEADER_BYTES))
        assert (await asyncio.wait_for(reader.readline(), 5)).startswith(b"HTTP/1.1 400 ")
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    serve(test)


@pytest.mark.parametrize("before", ["", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_a_client_that_dribbles_is_cut_off(before: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "HEADER_TIMEOUT", 0.1)

    async def test(port: int, _: MemoryProbe) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        loop = asyncio.get_running_loop()
        if before:  # a whole request first: the second one on a connection has a limit as well
            writer.write(before.encode())
            await reader.readuntil(b"</html>\n")
        started = loop.time()
        with contextlib.suppress(ConnectionError):
            for byte in b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 1000:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.01)
        assert loop.time() - started < 2
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    serve(test)


def test_keep_alive_outlives_the_header_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "HEADER_TIMEOUT", 0.05)

    async def test(port: int, _: MemoryProbe) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _again in range(2):
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"</html>\n")
            await asyncio.sleep(0.15)
        writer.close()
        await writer.wait_closed()

    serve(test)


def test_connections_are_limited() -> None:
    async def test(port: int, _: MemoryProbe) -> None:
        idle = [
            await asyncio.open_connection("127.0.0.1", port) for n in range(http.MAX_CONNECTIONS)
        ]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 2) == b""  # closed without a word
        for _reader, open_writer in [*idle, (reader, writer)]:
            open_writer.close()
            with contextlib.suppress(ConnectionError):
                await open_writer.wait_closed()
        for _try in range(100):  # the places are free again once the server has noticed
            with contextlib.suppress(ConnectionError, IndexError):
                if (await request(port, "/healthz"))[0] == 200:
                    return
            await asyncio.sleep(0.01)
        pytest.fail("the places of closed connections were not given back")

    serve(test)


def test_stopping_does_not_wait_for_an_idle_or_half_sent_request() -> None:
    async def run() -> float:
        loop = asyncio.get_running_loop()
        async with serving(MemoryProbe()) as port:
            idle = await asyncio.open_connection("127.0.0.1", port)
            half = await asyncio.open_connection("127.0.0.1", port)
            half[1].write(b"GET /metr")
            await half[1].drain()
            started = loop.time()
        took = loop.time() - started
        for _, writer in (idle, half):
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        return took

    assert asyncio.run(run()) < http.GRACE
