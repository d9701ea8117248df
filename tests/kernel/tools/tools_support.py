"""Programs under control for the tools to look at."""

from __future__ import annotations

import subprocess
from typing import IO, TYPE_CHECKING, Self, cast

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Target:
    """A child that waits to be told to go, says what it measured and waits for its end."""

    def __init__(self, command: Sequence[str | Path]) -> None:
        self.process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        # Past this line the dynamic loader's own system calls are over.
        cast("IO[str]", self.process.stdout).readline()

    @property
    def pid(self) -> int:
        return self.process.pid

    def go(self) -> list[int]:
        """Let it work; return the numbers it prints when it is done. It lives on."""
        stdin, stdout = cast("IO[str]", self.process.stdin), cast("IO[str]", self.process.stdout)
        stdin.write("go\n")
        stdin.flush()
        return [int(number) for number in stdout.readline().split()]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            cast("IO[str]", stream).close()


# Included by every target: wait for "go", then do(), then say what it measured, then wait again.
HARNESS = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static inline long long now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}
static void nap(long us) {
	struct timespec t = {us / 1000000, us % 1000000 * 1000};
	while (nanosleep(&t, &t)) ;
}
static void work(int argc, char **argv);
static void wait_for_go(void) {
	char c;
	while (read(0, &c, 1) == 1 && c != '\n') ;
}
int main(int argc, char **argv) {
	puts("ready");
	fflush(stdout);
	wait_for_go();
	work(argc, argv);
	puts("");
	fflush(stdout);
	wait_for_go();
	return 0;
}
"""
