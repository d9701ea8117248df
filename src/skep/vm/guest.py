"""Boot a kernel, run one command in it, bring back its output, exit status and results.

QEMU emulates (``-accel tcg``): no KVM, no root and no network are needed. Four serial ports
carry the console, the command's output, a tar archive of what it left in ``/results``, and
questions that it asks of the host. All of this goes through anonymous memory and inherited
descriptors, and the emulator dies with its parent: whatever happens, nothing is left behind.
"""

from __future__ import annotations

import io
import os
import re
import secrets
import subprocess
import sysconfig
import tarfile
import threading
from contextlib import ExitStack
from socket import socketpair
from typing import TYPE_CHECKING

from skep.elf.reader import ElfFile
from skep.errors import NotFoundError, SkepError
from skep.vm import cpio
from skep.vm.modules import module_files
from skep.vm.programs import need
from skep.vm.scripts import INIT, run_script

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from socket import socket

    from skep.vm.kernels import Kernel

KERNEL_ARGUMENTS = (
    "console=ttyS0 quiet panic=-1 oops=panic mitigations=off 8250.nr_uarts=4 "
    "lsm=lockdown,capability,landlock,yama,bpf"
)

# One thread for all processors of a guest: with a thread for each, QEMU 7.2 now and then executes
# an int3 that the kernel has already patched away, and the kernel dies of it in __schedule.
ACCELERATOR = "tcg,thread=single"
# NumPy 2 needs all of x86-64-v2. AVX2 is emulated wrongly by QEMU 7.2: numpy.argsort, which uses
# it where there is any, sorts more than a few hundred numbers wrongly.
PROCESSOR = "max,avx=off,avx2=off,fma=off,f16c=off,vaes=off"


class GuestError(SkepError, RuntimeError):
    """The guest died or never came up. `console` is what its kernel printed, `output` the rest."""

    console: str = ""
    output: str = ""


class GuestTimeoutError(GuestError, TimeoutError):
    """The command did not end within its time. `output` is what it had printed."""


class Result:
    """What a command did in a guest: exit `status`, `output` and `files` it left in /results."""

    def __init__(self, status: int, output: str, files: dict[str, bytes], console: str) -> None:
        self.status = status
        self.output = output
        self.files = files
        self.console = console

    def __repr__(self) -> str:
        return f"<Result: exit {self.status}, {len(self.output)} characters of output>"


def _busybox() -> bytes:
    path = need("busybox")
    with open(path, "rb") as file:
        data = file.read()
    interpreter = 3  # PT_INTERP, elf(5): it names the dynamic linker, which the guest lacks
    if any(segment.type == interpreter for segment in ElfFile(data, path).segments):
        message = f"{path} needs shared libraries, and a guest starts without any"
        raise NotFoundError(message, name=path, where="PATH", hint="apt install busybox-static")
    return data


def _initial(
    kernel: Kernel, script: str, files: Sequence[str], contents: Mapping[str, bytes]
) -> bytes:
    """Pack the first file system: busybox, modules, scripts and the files for the guest."""
    program = cpio.Entry(0o100755, _busybox())
    content = {"init": cpio.text(INIT, executable=True), "bin/busybox": program}
    content["files/run/skep-guest"] = cpio.text(script)
    for empty in ("dev", "proc", "sys", "tmp"):
        content[f"{empty}/.keep"] = cpio.text("")
    for number, (name, data) in enumerate(module_files(kernel).items()):
        content[f"modules/{number:03}-{name}.ko"] = cpio.Entry(0o100644, data)
    # As where the package is installed: programs ask how their kernel was configured.
    config = os.path.join(os.path.dirname(kernel.image), f"config-{kernel.release}")
    if os.path.exists(config):
        with open(config, "rb") as file:
            content[f"files/boot/{os.path.basename(config)}"] = cpio.Entry(0o100644, file.read())
    for path in files:
        content.update({f"files/{name}": entry for name, entry in cpio.tree(path).items()})
    for path, data in contents.items():
        content[f"files/{path.lstrip('/')}"] = cpio.Entry(0o100644, data)
    return cpio.archive(content)


class _Memory:
    """A file that exists only in memory, under a name that the emulator inherits."""

    def __init__(self, name: str, data: bytes = b"") -> None:
        self.file = os.fdopen(os.memfd_create(name), "r+b", buffering=0)
        view = memoryview(data)
        while view:
            view = view[self.file.write(view) :]

    @property
    def number(self) -> int:
        return self.file.fileno()

    @property
    def path(self) -> str:
        return f"/dev/fd/{self.number}"

    def read(self) -> bytes:
        self.file.seek(0)
        return self.file.read()

    def text(self) -> str:
        return self.read().decode(errors="replace").replace("\r\n", "\n")


def _answer(port: socket, serve: Callable[[str], str]) -> None:
    """Answer the guest's questions, a line each, until the emulator closes its end."""
    with port.makefile("rw", encoding="utf-8", newline="\n") as lines:
        try:
            for line in lines:
                try:
                    answer = serve(line.rstrip("\n"))
                except Exception:  # noqa: BLE001 - the guest would wait for ever
                    answer = ""
                lines.write(f"{answer}\n")
                lines.flush()
        except ConnectionError:
            return  # the guest ended while it was being answered


def run(
    kernel: Kernel,
    image: str,
    command: Sequence[str],
    *,
    files: Sequence[str] = (),
    contents: Mapping[str, bytes] | None = None,
    folder: str = "/",
    environment: Mapping[str, str] | None = None,
    memory: int = 1024,
    processors: int = 1,
    timeout: float = 600,
    serve: Callable[[str], str] | None = None,
) -> Result:
    """Boot *kernel* on the root *image*, run *command* there as root and return its `Result`.

    *files* (files or folders) are copied into the guest under their own paths, *contents* maps
    further paths to bytes; *folder* is the working directory, *memory* is in MiB and *timeout* in
    seconds, boot included. The command finds this interpreter's programs first on its PATH, the
    kernel's release in ``SKEP_GUEST``, and no network but ``lo``. What it leaves in ``/results``
    comes back. A line that it writes to ``/dev/ttyS3`` is given to *serve*, whose answer, one
    line of at most 4000 bytes, it reads there: an empty one when *serve* raises. Safe to call from
    several threads.

    Raises `GuestTimeoutError` past the time limit, `GuestError` when the guest dies, and
    `NotFoundError` when a program is not installed.
    """
    nonce = f"skep-{secrets.token_hex(8)}"
    script = run_script(
        command,
        folder=folder,
        environment=environment or {},
        programs=sysconfig.get_path("scripts"),
        nonce=nonce,
    )
    emulator = [need("setpriv"), "--pdeathsig", "KILL", need("qemu-system-x86_64")]
    with ExitStack() as stack:
        packed = _Memory("initrd", _initial(kernel, script, files, contents or {}))
        stack.callback(packed.file.close)
        console, output, results = (_Memory(name) for name in ("console", "output", "results"))
        for kept in (console, output, results):
            stack.callback(kept.file.close)
        ours, theirs = socketpair()
        stack.callback(theirs.close)
        arguments = [
            *(*emulator, "-accel", ACCELERATOR, "-M", "pc", "-cpu", PROCESSOR),
            *("-smp", str(processors), "-m", str(memory), "-no-reboot"),
            *("-nodefaults", "-display", "none"),
            *("-kernel", kernel.image, "-initrd", packed.path, "-append", KERNEL_ARGUMENTS),
            *("-drive", f"file={image},if=virtio,format=raw,snapshot=on"),
        ]
        for kept in (console, output, results):
            arguments += ["-serial", f"file:{kept.path}"]
        arguments += ["-chardev", f"socket,id=ask,fd={theirs.fileno()}", "-serial", "chardev:ask"]
        passed = [theirs.fileno(), *(m.number for m in (packed, console, output, results))]
        helper = threading.Thread(target=_answer, args=(ours, serve or _silent), daemon=True)
        helper.start()
        try:
            done = _emulate(arguments, passed, timeout)
        finally:
            ours.shutdown(2)
            helper.join()
            ours.close()
        if done is None:
            message = f"the command did not end within {timeout:g} s on Linux {kernel.release}"
            raise GuestTimeoutError(message, console=console.text(), output=output.text())
        printed = console.text() + done
        status = re.search(rf"{nonce} (\d+)", printed)
        if status is None:
            message = f"the guest with Linux {kernel.release} died: {_last_words(printed)}"
            raise GuestError(message, console=printed, output=output.text())
        return Result(int(status[1]), output.text(), _untar(results.read()), printed)


def _silent(_: str) -> str:
    return ""


def _emulate(arguments: list[str], passed: list[int], timeout: float) -> str | None:
    """Run the emulator to its end and return what it complained of; None when time ran out."""
    try:
        return subprocess.run(
            arguments,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=passed,
        ).stderr
    except subprocess.TimeoutExpired:
        return None


def _last_words(console: str) -> str:
    """Say why a guest died: from the kernel's panic on, else the last lines of the console."""
    lines = [line.strip() for line in console.splitlines() if line.strip()]
    for number, line in enumerate(lines):
        if "Kernel panic" in line or "Oops" in line:
            return " | ".join(lines[number : number + 5])
    return " | ".join(lines[-5:]) or "it printed nothing"


def _untar(data: bytes) -> dict[str, bytes]:
    found = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for member in archive:
                content = archive.extractfile(member)
                if content is not None:
                    found[member.name.removeprefix("./")] = content.read()
    except tarfile.ReadError:
        return found  # cut short: what came whole is there
    return found
