"""funclatency, against programs that know how often they called what, and how long it took."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tools_support import HARNESS, Target

from skep.errors import NotFoundError, RangeError, SkepError
from skep.tools.funclatency import tool

if TYPE_CHECKING:
    from compiling import CompileC

SLEEPS = (
    HARNESS
    + r"""
__attribute__((noinline)) void three_ms(void) { nap(3000); __asm__ volatile(""); }
__attribute__((noinline)) void quick(void) { __asm__ volatile(""); }
__attribute__((noinline)) int deep(int n) {
	int below = 0;
	nap(1000);
	if (n > 1) below = deep(n - 1);
	__asm__ volatile("" : "+r"(below));
	return below + 1;
}
static jmp_buf back;
__attribute__((noinline)) void leaves(int jump) {
	__asm__ volatile("" : "+r"(jump));
	if (jump) longjmp(back, 1);
	nap(100);
	__asm__ volatile("");
}
static void work(int argc, char **argv) {
	long long began = now();
	for (int i = 0; i < 20; i++) three_ms();
	printf("%lld ", now() - began);
	for (int i = 0; i < 500; i++) quick();
	for (int i = 0; i < 4; i++) deep(5);
	for (volatile int i = 0; i < 10; i++) {
		if (!setjmp(back)) leaves(1);
		leaves(0);
	}
}
"""
)


@pytest.fixture
def sleeps(compile_c: CompileC) -> str:
    return str(compile_c(SLEEPS))


def test_known_sleeps(sleeps: str) -> None:
    """The sum lies between the sleeps and what the program itself measured around them."""
    with Target([sleeps]) as target, tool.open(target=f"{sleeps}:three_ms") as running:
        (measured,) = target.go()
        (histogram,) = running.snapshot().histograms
        assert histogram.total == 20
        assert histogram.sum_ns is not None
        assert 20 * 3_000_000 <= histogram.sum_ns <= measured
        # Nothing is shorter than the sleep: slots of 2**21 ns (2.1 ms) and above.
        assert sum(histogram.counts[:21]) == 0
        assert running.lost() == {}


def test_recursion(sleeps: str) -> None:
    """Each level is a call of its own, and the outer ones contain the inner ones."""
    with Target([sleeps]) as target, tool.open(target=f"{sleeps}:deep", pid=target.pid) as running:
        target.go()
        (histogram,) = running.snapshot().histograms
        assert histogram.total == 20
        # Levels take 1, 2, 3, 4 and 5 ms at least: 15 ms a call of the outermost.
        assert histogram.sum_ns is not None
        assert histogram.sum_ns >= 4 * 15_000_000
        assert running.lost() == {}


def test_longjmp(sleeps: str) -> None:
    """A call that is left by longjmp is not measured, and does not spoil the next one."""
    with (
        Target([sleeps]) as target,
        tool.open(target=f"{sleeps}:leaves", pid=target.pid) as running,
    ):
        target.go()
        (histogram,) = running.snapshot().histograms
        assert histogram.total == 10
        assert sum(histogram.counts[:16]) == 0  # below 65 us, when each slept for 100
        assert running.lost() == {}


def test_functions_by_pattern(sleeps: str) -> None:
    """One histogram for each function that matches, told apart by their cookies."""
    given = {"target": f"{sleeps}:(three_ms|qui.*)", "regexp": True, "function": True}
    with Target([sleeps]) as target, tool.open(**given, microseconds=True) as running:
        target.go()
        found = {one.labels["function"]: one for one in running.snapshot().histograms}
        assert {name: one.total for name, one in found.items()} == {"three_ms": 20, "quick": 500}
        assert found["three_ms"].unit == "us"
        assert sum(found["three_ms"].counts[:11]) == 0  # below 2048 us
        shown = tool.present(running.snapshot(), running.options).histograms
        assert [one.labels["function"] for one in shown] == ["three_ms", "quick"]


def test_only_one_process(sleeps: str) -> None:
    """With a pid, another process that runs the same function is not counted."""
    with (
        Target([sleeps]) as wanted,
        Target([sleeps]) as other,
        tool.open(target=f"{sleeps}:quick", pid=wanted.pid) as running,
    ):
        other.go()
        assert running.snapshot().histograms[0].total == 0
        wanted.go()
        assert running.snapshot().histograms[0].total == 500


LIBRARY = (
    HARNESS
    + r"""
static void work(int argc, char **argv) {
	for (int i = 0; i < 17; i++) {
		void *volatile memory = malloc(1000 + i); /* or the compiler leaves both out */
		free(memory);
	}
}
"""
)


def test_library_by_short_name(compile_c: CompileC) -> None:
    """c:malloc is the C library's malloc, as the process has it."""
    with (
        Target([compile_c(LIBRARY)]) as target,
        tool.open(target="c:malloc", pid=target.pid) as run,
    ):
        target.go()
        assert 17 <= run.snapshot().histograms[0].total <= 25  # stdio has a buffer or two


def test_snapshots_add_up(sleeps: str) -> None:
    """A difference of two snapshots is what happened in between."""
    with Target([sleeps]) as target, tool.open(target=f"{sleeps}:quick") as running:
        first = running.snapshot()
        target.go()
        second = running.snapshot()
        assert second.since(first).histograms[0].total == 500
        assert second.since(first).seconds > 0


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        ("c:mallox", NotFoundError, "mallox.*malloc"),
        ("/nowhere/at/all:f", NotFoundError, "/nowhere/at/all"),
        ("/etc/passwd:f", SkepError, "/etc/passwd"),
    ],
)
def test_what_does_not_exist(target: str, error: type[SkepError], message: str) -> None:
    """One sentence names the binary or the symbol."""
    with pytest.raises(error, match=message):
        tool.open(target=target)


def test_patterns_that_match_nothing_or_everything(sleeps: str) -> None:
    """Both are refused before anything is attached."""
    with pytest.raises(NotFoundError, match=r"no function .* matches 'nothing"):
        tool.open(target=f"{sleeps}:nothing.*", regexp=True)
    with pytest.raises(RangeError, match="more than 500"):
        tool.open(target="c:.*", regexp=True)
    with pytest.raises(RangeError, match="is not a regular expression"):
        tool.open(target="c:(", regexp=True)
