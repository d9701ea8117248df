"""The agent: probes that run for weeks, read at an interval and exported (``skep run``).

Nothing in here is imported by ``import skep``. One owner each: `supervisor` has the probes and
their threads, `metrics` the Prometheus text, `http` the sockets, `live` and `plain` the terminal,
`run` puts them together in one asyncio loop.
"""
