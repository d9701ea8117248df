"""What the link tests share: programs made by hand, a count map, and C targets under control."""

from __future__ import annotations

import struct
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple, Self

from skep.kernel import bpf
from skep.kernel.constants import AttachType, MapType, ProgramType

if TYPE_CHECKING:
    from pathlib import Path

    from skep.kernel.fd import FD

# Helper numbers, include/uapi/linux/bpf.h.
MAP_LOOKUP, PID_TGID, ATTACH_COOKIE = 1, 14, 174


def insn(opcode: int, dst: int = 0, src: int = 0, offset: int = 0, imm: int = 0) -> bytes:
    return struct.pack("<BBhi", opcode, src << 4 | dst, offset, imm)


def call(helper: int) -> bytes:
    return insn(0x85, imm=helper)


class Seen(NamedTuple):
    """What a counting program left in its map."""

    runs: int
    cookie: int
    pid: int
    cookies: int  # sum of the cookies of all runs


class Counter:
    """A loaded program that counts its runs, and looks enough like a `Program` to be attached.

    With *pid* only runs in that process count: the kernel's tracepoints fire for everybody.
    """

    def __init__(
        self,
        kind: ProgramType,
        *,
        name: str = "count",
        section: str = "",
        expected_attach_type: int = 0,
        attach_btf_id: int = 0,
        pid: int = 0,
        with_cookie: bool = True,
        result: int = 0,
    ) -> None:
        self.name, self.section, self.type = name, section, kind
        self.expected_attach_type = AttachType(expected_attach_type)
        self.attach_to = ""  # nothing but the section says it
        self.map: FD = bpf.map_create(
            type=MapType.ARRAY, key_size=4, value_size=32, max_entries=1, name=name
        )
        body = b""
        if with_cookie:
            body += insn(0xBF, 1, 6) + call(ATTACH_COOKIE)
            body += insn(0x7B, 7, 0, 8)  # value->cookie = cookie
            body += insn(0xDB, 7, 0, 24)  # value->cookies += cookie, atomically
        count = insn(0xB7, 1, imm=1) + insn(0xDB, 7, 1, 0) + insn(0x7B, 7, 8, 16) + body
        head = insn(0xBF, 6, 1)
        head += call(PID_TGID) + insn(0x77, 0, imm=32) + insn(0xBF, 8, 0)  # r8 = tgid
        lookup = insn(0x62, 10, offset=-4) + insn(0xBF, 2, 10) + insn(0x07, 2, imm=-4)
        lookup += insn(0x18, 1, 1, imm=self.map.fileno()) + insn(0)  # r1 = the map
        lookup += call(MAP_LOOKUP)
        lookup += insn(0x15, offset=len(count) // 8 + 1) + insn(0xBF, 7, 0)
        rest = lookup + count
        if pid:
            head += insn(0x55, 8, offset=len(rest) // 8, imm=pid)
        try:
            self.fd: FD = bpf.prog_load(
                type=kind,
                insns=head + rest + insn(0xB7, 0, imm=result) + insn(0x95),
                license="GPL",
                name=name,
                expected_attach_type=expected_attach_type,
                attach_btf_id=attach_btf_id,
            )
        except BaseException:
            self.map.close()
            raise

    def seen(self) -> Seen:
        value = bytearray(32)
        assert bpf.map_lookup(self.map, bytes(4), value)
        return Seen(*(struct.unpack_from("<Q", value, at)[0] for at in (0, 8, 16, 24)))

    def reset(self) -> None:
        bpf.map_update(self.map, bytes(4), bytes(32))

    @property
    def id(self) -> int:
        return bpf.prog_info(self.fd).id

    def close(self) -> None:
        self.fd.close()
        self.map.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def ids(kind: bpf.Kind) -> set[int]:
    """Return the ids of every program, map or link in the kernel."""
    found, last = set(), bpf.next_id(kind, 0)
    while last is not None:
        found.add(last)
        last = bpf.next_id(kind, last)
    return found


TARGET = r"""
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <unistd.h>
#include <time.h>
#include <pthread.h>
#include <sys/wait.h>

#define KEEP __attribute__((noinline, noclone, used))

/* Saves registers: starts with a push. */
KEEP int pushes(int n) { for (int i = 0; i < 2; i++) n += getppid() > 0; return n; }
/* Starts with something the kernel has to single-step. */
KEEP int leaf(int n) { __asm__ volatile(""); return n * 3 + 1; }
/* Calls leaf in a thread of its own. */
static void *in_thread(void *n) { return (void *)(long)leaf((long)n); }
/* Calls itself n times; the asm keeps the compiler from making a loop of it. */
KEEP int recursive(int n)
{
    int inner = n <= 0 ? 0 : recursive(n - 1);
    __asm__ volatile("" : "+r"(inner));
    return inner + 1;
}
/* Its loop comes back to the first instruction after endbr64. */
#ifdef __x86_64__
__asm__(".text\n.globl backward\n.type backward,@function\nbackward:\n"
        "endbr64\n1: push %rbx\n pop %rbx\n dec %edi\n jg 1b\n mov $7, %eax\n ret\n"
        ".size backward, .-backward\n");
int backward(int n);
#else
KEEP int backward(int n) { return n; }
#endif
static KEEP int hidden(int n) { __asm__ volatile(""); return n + 5; }
KEEP int two_exits(int n) { if (n & 1) return leaf(n); return n - 1; }

extern const char __ehdr_start[]; /* by the linker: where the file begins in memory */
volatile unsigned short semaphore __attribute__((section(".data"))) = 0;

int main(int argc, char **argv)
{
    char name[64]; long count, total = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    puts("ready");
    while (scanf("%63s %ld", name, &count) == 2) {
        for (long i = 0; i < count; i++) {
            if (!strcmp(name, "pushes")) total += pushes(i);
            else if (!strcmp(name, "leaf")) total += leaf(i);
            else if (!strcmp(name, "recursive")) { total += recursive(count - 1); break; }
            else if (!strcmp(name, "backward")) total += backward(5);
            else if (!strcmp(name, "hidden")) total += hidden(i);
            else if (!strcmp(name, "two_exits")) total += two_exits(i);
            else if (!strcmp(name, "thread")) {
                pthread_t thread;
                pthread_create(&thread, NULL, in_thread, (void *)i);
                pthread_join(thread, NULL);
            }
            else if (!strcmp(name, "syscall")) total += getppid();
            else if (!strcmp(name, "fork") && !fork()) { pushes(1); _exit(0); }
        }
        if (!strcmp(name, "fork")) while (wait(NULL) > 0);
        if (!strcmp(name, "semaphore")) total = semaphore;
        if (!strcmp(name, "where")) total = (const char *)&semaphore - __ehdr_start;
        if (!strcmp(name, "spin")) {
            struct timespec now;
            do { clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now); total++; }
            while (now.tv_sec * 1000 + now.tv_nsec / 1000000 < count);
        }
        printf("done %ld\n", total);
    }
    return 0;
}
"""


class Target:
    """A running C target that calls its functions when told, and waits in between."""

    def __init__(self, *command: Path | str) -> None:
        self.process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self.process.pid
        assert self._line() == "ready"

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def call(self, function: str, times: int = 1) -> int:
        """Make the target call *function*; return what the calls so far returned, added up."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{function} {times}\n")
        self.process.stdin.flush()
        done, total = self._line().split()
        assert done == "done"
        return int(total)

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


PYTHON = sys.executable
