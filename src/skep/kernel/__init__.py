"""The only room that calls the kernel: bpf(2), perf_event_open(2), mmap, tracefs, /proc.

Nothing is imported here: each module stands alone, so that start-up pays only for what it uses.
"""
