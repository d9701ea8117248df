"""``skep run``: the agent."""

from __future__ import annotations

import click

from skep.errors import RangeError


@click.command("run", short_help="run the default probes; serve Prometheus metrics")
@click.option(
    "--listen",
    metavar="HOST:PORT",
    default="127.0.0.1:9091",
    show_default=True,
    help="Where to serve /metrics and /healthz. Port 0 takes a free one. There is no password: "
    "an address other than a loopback one is open to whoever can reach it.",
)
@click.option(
    "--duration",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    help="Stop after this long.",
)
@click.option(
    "--interval",
    metavar="SECONDS",
    type=click.FloatRange(0.1, 3600),
    default=1.0,
    show_default=True,
    help="How often the probes are read; scrapes show the last read.",
)
@click.option("--check", is_flag=True, help="Only try: load, attach, read once, detach, report.")
@click.pass_context
def run(
    context: click.Context, listen: str, duration: float | None, interval: float, check: bool
) -> None:
    """Measure this machine until stopped.

    Attaches the default probes (run-queue latency, system calls, process starts, CPU time by
    process), serves them to Prometheus and shows a live table on a terminal. SIGTERM and Ctrl-C
    detach everything. Needs root, or CAP_BPF and CAP_PERFMON.
    """
    from skep.errors import require

    for module in ("prometheus_client", "starlette", "uvicorn"):
        require(module, extra="agent", purpose="skep run")
    import skep
    from skep.agent import address
    from skep.agent import run as agent
    from skep.agent.probes import default

    try:
        address.parse(listen)
    except RangeError as error:
        raise click.BadParameter(str(error), context, param_hint="--listen") from error
    context.exit(
        agent.main(
            default,
            listen=listen,
            interval=interval,
            duration=duration,
            check=check,
            version=skep.__version__,
        )
    )
