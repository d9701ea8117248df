"""How long does a function take? Usage: latency.py BINARY:SYMBOL [PID]."""

import signal
import sys
from pathlib import Path

import skep
from skep import links

HERE = Path(__file__).parent


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    binary, _, symbol = sys.argv[1].partition(":")
    pid = int(sys.argv[2]) if len(sys.argv) > 2 else None

    with skep.ObjectSpec.from_file(HERE / "latency.bpf.o").load() as obj:
        entry, back = obj.programs["on_entry"], obj.programs["on_return"]
        with (
            # The return first: an entry that is seen is one whose return will be.
            links.uprobe(back, binary, symbol=symbol, pid=pid, retprobe=True),
            links.uprobe(entry, binary, symbol=symbol, pid=pid),
        ):
            print(f"Measuring {binary}:{symbol}, Ctrl-C to end", flush=True)
            try:
                signal.pause()
            except KeyboardInterrupt:
                print()
        histogram = obj.maps["nanoseconds"][0]

    count = sum(histogram.slots)
    for slot, calls in enumerate(histogram.slots):
        if calls:
            bar = "#" * round(40 * calls / max(histogram.slots))
            print(f"{1 << slot:12} ns .. {calls:8} {bar}")
    if count:
        print(f"{count} calls, {histogram.sum / count:.0f} ns on average")


main()
