"""Who uses the CPUs? Usage: sampling.py [SECONDS]."""

import sys
import time
from pathlib import Path

import skep
from skep import links

HERE = Path(__file__).parent
FREQUENCY = 99  # samples a second on each CPU; not 100, to keep out of step with timers


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10
    with skep.ObjectSpec.from_file(HERE / "sampling.bpf.o").load() as obj:
        program = obj.programs["on_sample"]
        # A section called "perf_event" does not say which event, so this is attached by hand.
        with links.perf_event(program, "cpu-clock", frequency=FREQUENCY) as sampling:
            print(f"Sampling {len(sampling)} CPUs for {seconds:g} s, or until Ctrl-C", flush=True)
            try:
                time.sleep(seconds)
            except KeyboardInterrupt:
                print()
        names, counts = obj.maps["samples"].read()
        idle = obj.variables["idle"].value

    total = int(counts.sum()) + idle
    for i in counts.argsort()[::-1]:
        print(f"{counts[i]:8} {counts[i] / total:6.1%}  {names['comm'][i].decode()}")
    print(f"{idle:8} {idle / max(total, 1):6.1%}  (idle)")


main()
