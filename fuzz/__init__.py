"""Coverage-guided fuzzing of everything that reads files from strangers: ``make fuzz``.

`targets` says what is done with an input and what must never happen; it needs no fuzzer, and
tests/unit/fuzz replays the inputs of `findings/` through it. `seeds` makes the inputs to start
from, `mutations` changes them so that they stay nearly valid, `worker` runs one target under
atheris and `__main__` runs them all and adds up.

`live`, with `live_maps` and `live_values`, is about calls, not files: it needs root and no fuzzer.
"""
