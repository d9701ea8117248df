"""Which programs start, how often, and who starts them? Usage: starts.py [FILE.npy]."""

import sys
from pathlib import Path

import numpy as np

import skep

HERE = Path(__file__).parent


def summary(batch: np.ndarray) -> str:
    """Count the starts of each program by each parent, the most frequent first."""
    pairs, counts = np.unique(batch[["parent_comm", "comm"]], return_counts=True)
    order = counts.argsort()[::-1]
    return ", ".join(
        f"{counts[i]} x {pairs['parent_comm'][i].decode()} -> {pairs['comm'][i].decode()}"
        for i in order
    )


def main() -> None:
    batches = []
    with skep.ObjectSpec.from_file(HERE / "starts.bpf.o").load() as obj, obj.attach():
        # A line a second at most: let a batch gather for that long.
        stream = obj.maps["starts"].stream(interval=1.0)
        print("Watching, Ctrl-C to end", flush=True)
        try:
            for batch in stream:
                batches.append(batch)
                print(f"{len(batch):5} starts: {summary(batch)}", flush=True)
        except KeyboardInterrupt:
            batches.append(stream.read(timeout=0))
        print(stream.stats())

    everything = np.concatenate(batches)
    if len(everything):
        print(f"{len(everything):5} in all: {summary(everything)}")
    if len(sys.argv) > 1:
        np.save(sys.argv[1], everything)


main()
