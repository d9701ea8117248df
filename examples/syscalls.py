"""Which processes make the most system calls? Usage: syscalls.py [SECONDS]."""

import sys
import time
from pathlib import Path

import skep

HERE = Path(__file__).parent


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10
    spec = skep.ObjectSpec.from_file(HERE / "syscalls.bpf.o")
    with spec.load() as obj:
        processes = obj.maps["processes"]
        with obj.attach():
            print(f"Counting for {seconds:g} s, or until Ctrl-C", flush=True)
            try:
                time.sleep(seconds)
            except KeyboardInterrupt:
                print()

        # As columns: whole arrays, with no Python object for each process.
        pids, rows = processes.read()
        busiest = rows["calls"].argsort()[::-1][:20]
        for pid, row in zip(pids[busiest], rows[busiest], strict=True):
            print(f"{row['calls']:10} {pid:8} {row['comm'].decode(errors='replace')}")
        print(f"{rows['calls'].sum():10} calls of {len(rows)} processes")

        # As a dict: one value, typed.
        mine = processes[int(pids[busiest[0]])]
        print(f"the busiest is {mine.comm} with {mine.calls}")


main()
