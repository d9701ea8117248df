"""Whole process: load a five-program CO-RE object and leave; and what `import skep` costs."""

from __future__ import annotations

from benchmarks.measure import PYTHON, Row, build_object, build_peer, elapsed, interleave

PROGRAM = "import sys, skep; skep.ObjectSpec.from_file(sys.argv[1]).load().close()"


def run(rounds: int = 15) -> list[Row]:
    """Return one row for loading and one for importing."""
    path = build_object("load")
    peer = build_peer("load")
    medians = interleave(
        {
            "skep": lambda: elapsed([*PYTHON, "-c", PROGRAM, path]),
            "libbpf": lambda: elapsed([peer, path]),
            "import": lambda: elapsed([*PYTHON, "-c", "import skep"]),
            "python": lambda: elapsed([*PYTHON, "-c", "pass"]),
        },
        rounds,
    )
    added = medians["import"] - medians["python"]
    return [
        Row("load 5 programs", "libbpf in C", medians["skep"], medians["libbpf"], "ms", 3.0),
        # A budget rather than a peer: import skep may add 20 ms to a bare interpreter.
        Row("import skep", "the budget of 20 ms", added, 20.0, "ms", 1.0),
    ]
