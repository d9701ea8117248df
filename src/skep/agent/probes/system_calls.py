"""System calls by name."""

from __future__ import annotations

from skep.agent.families import Counter
from skep.agent.probes.tool_probe import ToolProbe
from skep.maps import batch
from skep.tools.syscalls import Syscalls
from skep.tools.syscount import Syscount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from skep.agent.families import AnyFamily
    from skep.maps.map import Map
    from skep.object.spec import ObjectSpec
    from skep.tools.options import Options


class EverySyscall(Syscount):
    """The tool syscount, with the calls of the agent itself: a metric is about the machine."""

    def configure(self, spec: ObjectSpec, options: Options) -> None:
        """Count every process."""
        super().configure(spec, options)
        spec.variables["skip_tgid"] = 0


class SystemCalls(ToolProbe):
    """The tool syscount, counting calls when they start."""

    name = "syscalls"
    title = "System calls"

    def __init__(self) -> None:
        super().__init__(EverySyscall())
        self._names = Syscalls()

    def collect(self) -> Sequence[AnyFamily]:
        """Return how often each call was made since the probe was opened.

        The label is bounded by nature: there are a few hundred calls.
        """
        samples: dict[tuple[str, ...], float] = {}
        for index, count in enumerate(counts(self.running.object.maps["calls"])):
            if count:
                label = (self._names.name(index),)
                samples[label] = samples.get(label, 0) + count
        return [
            Counter(
                "skep_syscalls_total",
                "System calls started, by name.",
                samples,
                labels=("syscall",),
            )
        ]


def counts(calls: Map) -> list[int]:
    """Return the first member (``count``) of each ``struct tally``, summed over the CPUs.

    Straight from the bytes: as typed values this would be a record for each of 1024 calls on
    every CPU, each second, of which all but a few hundred are zero.
    """
    cpus = max(1, calls.cells.cpus)
    words = calls.cells.value.size // 8  # a row: one tally of u64 for each CPU
    tally = words // cpus
    result: list[int] = []
    for rows, _, values in batch.chunks(calls.geometry):
        numbers = memoryview(values)[: rows * words * 8].cast("Q")
        by_cpu = [numbers[cpu * tally :: words].tolist() for cpu in range(cpus)]
        result.extend(map(sum, zip(*by_cpu, strict=True)))
    return result
