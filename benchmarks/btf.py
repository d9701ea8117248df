"""Open the running kernel's BTF and look up twenty types by name, without NumPy and an index."""

from __future__ import annotations

import statistics
import subprocess

from benchmarks.measure import PYTHON, Row, build_peer

NAMES = (
    "task_struct", "mm_struct", "file", "inode", "dentry", "sock", "sk_buff", "net_device",
    "bpf_prog", "bpf_map", "cgroup", "css_set", "signal_struct", "cred", "super_block", "request",
    "bio", "page", "vm_area_struct", "tcp_sock",
)  # fmt: skip
# From before the first import of skep to the last answer.
PROGRAM = """
import sys, time
start, cpu = time.perf_counter(), time.process_time()
from skep.btf.kernel import kernel_btf
btf = kernel_btf()
found = [btf.find(name, 4) for name in sys.argv[1:]]
took, used = time.perf_counter() - start, time.process_time() - cpu
assert all(found) and "numpy" not in sys.modules, found
print(took * 1e3, used * 1e3)
"""


def run(rounds: int = 21) -> list[Row]:
    """Return a row against the budget, and one against libbpf's parse and linear search."""
    commands = {
        "skep": ["/usr/bin/env", "SKEP_CACHE=off", *PYTHON, "-c", PROGRAM, *NAMES],
        "libbpf": [build_peer("btf"), *NAMES],
    }
    taken: dict[str, list[float]] = {name: [] for name in commands}
    used = []
    for number in range(rounds + 1):
        for name, command in commands.items():
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            wall, *cpu = map(float, done.stdout.split())
            if number:
                taken[name].append(wall)
                used += cpu
    ours, theirs = statistics.median(taken["skep"]), statistics.median(taken["libbpf"])
    note = f"CPU {statistics.median(used):.1f}, the imports of skep included"
    return [
        Row("kernel BTF, 20 names", "the budget of 20 ms", ours, 20.0, "ms", 1.0, note),
        Row("kernel BTF, 20 names", "libbpf in C", ours, theirs, "ms", None),
    ]
