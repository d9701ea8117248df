"""Sampling: rates, processes with threads, per-CPU links."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest
from links_support import Counter, Target, ids
from needs import at_least

from skep.errors import AttachError, KernelError, NotFoundError, RangeError, UnsupportedError
from skep.kernel.constants import ProgramType
from skep.kernel.cpus import online_cpus
from skep.links import perf_event

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from compiling import CompileC

MS = 1_000_000

THREADS = r"""
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/mman.h>

static void spin(long ms) {
    struct timespec now;
    do clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    while (now.tv_sec * 1000 + now.tv_nsec / 1000000 < ms);
}
static pthread_barrier_t go;
static long wanted;
static void *early(void *x) { pthread_barrier_wait(&go); spin(wanted); return x; }
static void *late(void *x) { spin(wanted); return x; }

int main(void) {
    char name[64]; pthread_t a, b;
    setvbuf(stdout, NULL, _IOLBF, 0);
    pthread_barrier_init(&go, NULL, 2);
    pthread_create(&a, NULL, early, NULL);
    puts("ready");
    while (scanf("%63s %ld", name, &wanted) == 2) {
        if (!strcmp(name, "threads")) {
            pthread_barrier_wait(&go);
            pthread_create(&b, NULL, late, NULL);
            pthread_join(a, NULL); pthread_join(b, NULL);
        } else if (!strcmp(name, "pages")) {
            char *p = mmap(NULL, wanted * 4096, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            madvise(p, wanted * 4096, MADV_NOHUGEPAGE);
            for (long i = 0; i < wanted; i++) p[i * 4096] = 1;
            munmap(p, wanted * 4096);
        }
        puts("done 0");
    }
}
"""


@pytest.fixture(scope="module")
def threads_path(compile_c: CompileC) -> Path:
    return compile_c(THREADS, "-O2")


@pytest.fixture
def counter() -> Iterator[Counter]:
    with Counter(ProgramType.PERF_EVENT, section="perf_event") as counter:
        yield counter


def test_samples_follow_the_cpu_time_of_a_process(counter: Counter, target_path: Path) -> None:
    with Target(target_path) as target, perf_event(
        counter, "task-clock", period=MS, pid=target.pid
    ) as links:  # fmt: skip
        assert len(links) == 1
        assert links[0].target == f"task-clock on process {target.pid}"
        assert links[0].pid == target.pid
        time.sleep(0.05)
        idle = counter.seen().runs
        target.call("spin", 400)
        seen = counter.seen()
    assert idle <= 2  # it waits for a command: no CPU time, no samples
    assert at_least(300) <= seen.runs <= 420
    assert seen.pid == target.pid


def test_threads_old_and_new_are_sampled(counter: Counter, threads_path: Path) -> None:
    with Target(threads_path) as target:
        with perf_event(counter, "task-clock", period=MS, pid=target.pid) as links:
            assert len(links) == 2  # the main thread and the one that waits
            target.call("threads", 200)  # which spins now, and one that starts now
        assert at_least(320) <= counter.seen().runs <= 440
        stopped = counter.seen().runs
        target.call("pages", 10)
        assert counter.seen().runs == stopped


def test_every_page_fault_is_counted_with_period_one(counter: Counter, threads_path: Path) -> None:
    with Target(threads_path) as target:
        target.call("pages", 1)
        with perf_event(counter, "page-faults", period=1, pid=target.pid):
            target.call("pages", 1000)
        assert 1000 <= counter.seen().runs <= 1020


def test_one_link_for_each_cpu(counter: Counter) -> None:
    allowed = os.sched_getaffinity(0)
    start = time.monotonic()
    with perf_event(counter, "cpu-clock", frequency=200) as links:
        assert [link.target for link in links] == [
            f"cpu-clock on CPU {cpu}" for cpu in online_cpus()
        ]
        assert {link.id for link in links} <= ids("link")
        assert {link.info.program_id for link in links} == {counter.id}
        try:
            for cpu in allowed:  # a hypervisor may keep the timers of an idle CPU from firing
                os.sched_setaffinity(0, {cpu})
                end = time.monotonic() + 0.3
                while time.monotonic() < end:
                    pass
        finally:
            os.sched_setaffinity(0, allowed)
        made = {link.id for link in links}
        possible = 200 * (time.monotonic() - start) * len(links)
    assert 200 * 0.3 * len(allowed) * 0.8 <= counter.seen().runs <= possible + len(links)
    assert not made & ids("link")


def test_chosen_cpus_only(counter: Counter) -> None:
    with perf_event(counter, cpus=[online_cpus()[-1]]) as links:
        assert [link.target for link in links] == [f"cpu-clock on CPU {online_cpus()[-1]}"]


def test_cookies_tell_the_links_of_one_program_apart(counter: Counter, threads_path: Path) -> None:
    with Target(threads_path) as target:
        with perf_event(counter, "page-faults", period=1, pid=target.pid, cookie=7) as links:
            assert [link.info.cookies for link in links] == [(7,)] * 2  # two threads
            target.call("pages", 100)
        seen = counter.seen()
    assert seen.cookie == 7
    assert seen.cookies == 7 * seen.runs >= 700
    with perf_event(counter, cpus=[online_cpus()[0]], cookie=8) as links:
        assert links[0].info.cookies == (8,)


def test_type_and_config_as_numbers(counter: Counter) -> None:
    with perf_event(counter, type=1, config=3, period=1, pid=os.getpid()) as links:
        assert links[0].target == f"perf event 1:3 on process {os.getpid()}"
        for _ in range(5):
            time.sleep(0.02)
        assert counter.seen().runs >= 5  # context switches


def test_what_is_wrong_is_said(counter: Counter) -> None:
    before = ids("link")
    with pytest.raises(NotFoundError, match="cpu-clock"):
        perf_event(counter, "cpu-clok")
    with pytest.raises(RangeError, match="frequency and period"):
        perf_event(counter, frequency=1, period=1)
    with pytest.raises(RangeError, match="above zero"):
        perf_event(counter, frequency=0)
    with pytest.raises(RangeError, match="pid and cpus"):
        perf_event(counter, pid=os.getpid(), cpus=[0])
    with pytest.raises(AttachError, match="perf_event_max_sample_rate") as caught:
        perf_event(counter, frequency=100_000_000)
    assert caught.value.program == "count"
    with pytest.raises((AttachError, RangeError)):
        perf_event(counter, cpus=[0, 4095])
    with pytest.raises(NotFoundError, match="no process") as gone:
        perf_event(counter, pid=4_190_000)
    assert "cpu-clock on process 4190000" in str(gone.value)
    with (
        Counter(ProgramType.TRACEPOINT) as other,
        pytest.raises(AttachError, match='"perf_event"'),
    ):
        perf_event(other)
    assert {one for one in ids("link") - before if bpf_program(one) == counter.id} == set()


def bpf_program(link_id: int) -> int:
    from skep.kernel import bpf

    try:
        with bpf.fd_by_id("link", link_id) as fd:
            return bpf.link_info(fd).prog_id
    except KernelError:
        return 0


def test_a_missing_hardware_counter_is_said(counter: Counter) -> None:
    if os.path.exists("/sys/bus/event_source/devices/cpu"):
        with perf_event(counter, "cycles", period=10**9, cpus=[0]) as links:
            assert links[0].target == "cycles on CPU 0"
        return
    with pytest.raises((AttachError, UnsupportedError)) as caught:
        perf_event(counter, "cycles", period=10**9, cpus=[0])
    assert "cycles on CPU 0" in str(caught.value) or "cycles on some CPUs" in str(caught.value)
