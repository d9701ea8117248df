"""Large allocations of a process, with a threshold that can be changed while it runs.

Usage: bigalloc.py PID [BYTES]. Type another number and Enter to change it; Ctrl-C ends.
"""

import select
import sys
from pathlib import Path

import skep
from skep import links

HERE = Path(__file__).parent


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    spec = skep.ObjectSpec.from_file(HERE / "bigalloc.bpf.o")
    if len(sys.argv) > 2:
        spec.variables["min_bytes"] = int(sys.argv[2])

    with spec.load() as obj, obj.maps["allocations"].stream() as stream:
        threshold = obj.variables["min_bytes"]
        pid = int(sys.argv[1])
        with links.uprobe(obj.programs["on_malloc"], "libc", symbol="malloc", pid=pid):
            print(f"Watching, from {threshold.value} bytes on", flush=True)
            try:
                while True:
                    # A stream is a descriptor like any other, so it waits beside the keyboard.
                    ready, _, _ = select.select([stream, sys.stdin], [], [])
                    if stream in ready:
                        for row in stream.read(timeout=0):
                            print(row["bytes"], row["tid"], row["comm"].decode(), flush=True)
                    if sys.stdin in ready:
                        line = sys.stdin.readline()
                        if not line:  # Ctrl-D
                            break
                        try:
                            threshold.value = int(line)
                        except ValueError as error:  # no number, or one that does not fit
                            print(error, flush=True)
                        print(f"from {threshold.value} bytes on", flush=True)
            except KeyboardInterrupt:
                print()
        print(f"{obj.variables['smaller'].value} were smaller, {stream.stats()}")


main()
