"""Boot a kernel, run one command in it, bring back its output, exit status and results.

QEMU emulates (``-accel tcg``): no KVM, no root and no network are needed. Three serial ports
carry the console, the command's output and a tar archive of what it left in ``/results``.
"""

from __future__ import annotations

import io
import os
import secrets
import shlex
import shutil
import stat
import subprocess
import tarfile
import tempfile
from typing import TYPE_CHECKING

from skep.errors import NotFoundError, SkepError
from skep.vm.kernels import module_files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from skep.vm.kernels import Kernel

# Runs as the first process of the guest, from the initial RAM file system, on busybox alone.
INIT = """\
#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t sysfs sys /sys
for module in /modules/*.ko; do insmod $module; done
mkdir -p /root; mount -t ext4 /dev/vda /root || { echo "no root image"; reboot -f; }
cp -a /files/. /root/; mkdir -p /root/bin; cp /bin/busybox /root/bin/
for fs in dev proc sys; do mount --move /$fs /root/$fs; done
exec switch_root /root /bin/busybox sh /run/skep-guest
"""

# Continues in the root image.
RUN = """\
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/tmp TMPDIR=/tmp PYTHONDONTWRITEBYTECODE=1
/bin/busybox --install -s /bin
mkdir -p /dev/pts /dev/shm /results /sys/fs/bpf /sys/fs/cgroup
mount -t devpts devpts /dev/pts; mount -t tmpfs shm /dev/shm
mount -t tracefs tracefs /sys/kernel/tracing; mount -t debugfs debugfs /sys/kernel/debug
mount -t bpf bpf /sys/fs/bpf; mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t securityfs securityfs /sys/kernel/security
ip link set lo up
for port in 1 2; do stty -F /dev/ttyS$port raw -echo; done
cd {folder}
{environment} {command} >/dev/ttyS1 2>&1 </dev/null
status=$?
tar -C /results -cf /dev/ttyS2 .
sync
echo "{nonce} $status"
reboot -f
"""


KERNEL_ARGUMENTS = (
    "console=ttyS0 quiet panic=-1 oops=panic mitigations=off 8250.nr_uarts=4 "
    "lsm=lockdown,capability,landlock,yama,bpf"
)


class GuestError(SkepError, RuntimeError):
    """The guest died or never came up. `console` is what its kernel printed last."""

    console: str = ""


class GuestTimeoutError(GuestError, TimeoutError):
    """The command did not end within its time. `output` is what it had printed."""

    output: str = ""


class Result:
    """What a command did in a guest: exit `status`, `output` and `files` it left in /results."""

    def __init__(self, status: int, output: str, files: dict[str, bytes], console: str) -> None:
        self.status = status
        self.output = output
        self.files = files
        self.console = console


def _cpio(files: Mapping[str, tuple[int, bytes]]) -> bytes:
    """Pack *files* (path to mode and data) as a "newc" archive (kernel: early-userspace docs)."""
    archive = io.BytesIO()
    folders = {parent for path in files for parent in _parents(path)}
    entries = [(path, stat.S_IFDIR | 0o755, b"") for path in sorted(folders)]
    entries += [(path, mode, data) for path, (mode, data) in files.items()]
    entries.append(("TRAILER!!!", 0, b""))
    for number, (path, mode, data) in enumerate(entries, 1):
        name = path.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
        archive.write(b"070701" + b"".join(b"%08X" % field for field in fields) + name)
        archive.write(bytes(-archive.tell() % 4))
        archive.write(data)
        archive.write(bytes(-archive.tell() % 4))
    return archive.getvalue()


def _parents(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[:n]) for n in range(1, len(parts) + 1)]


def _tree(path: str) -> dict[str, tuple[int, bytes]]:
    """Read a file, or every file below a folder, for the guest, each under its own path."""
    paths = [path]
    if os.path.isdir(path):
        paths = [
            os.path.join(root, name)
            for root, folders, names in os.walk(path)
            for name in names
            if "__pycache__" not in root
        ]
    found = {}
    for name in paths:
        with open(name, "rb") as file:
            mode = stat.S_IFREG | stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            found["files" + os.path.abspath(name)] = (mode, file.read())
    return found


def _need(program: str, package: str) -> str:
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/sbin:/usr/sbin")
    if found is None:
        message = f"virtual machines need {program}, which is not installed"
        raise NotFoundError(message, name=program, where="PATH", hint=f"apt install {package}")
    return found


def run(
    kernel: Kernel,
    image: str,
    command: Sequence[str],
    *,
    files: Sequence[str] = (),
    folder: str = "/",
    environment: Mapping[str, str] | None = None,
    memory: int = 1024,
    timeout: float = 600,
) -> Result:
    """Boot *kernel* on the root *image*, run *command* there and return its `Result`.

    *files* (files or folders) are copied into the guest under their own paths, *folder* is the
    working directory, *memory* is in MiB and *timeout* in seconds, boot included. The guest has
    one CPU and no network. Safe to call from several threads.

    Raises `GuestTimeoutError` past the time limit and `GuestError` when the guest dies.
    """
    qemu = _need("qemu-system-x86_64", "qemu-system-x86")
    busybox = _need("busybox", "busybox-static")
    nonce = f"skep-{secrets.token_hex(8)}"
    script = RUN.format(
        folder=shlex.quote(folder),
        environment=" ".join(f"{k}={shlex.quote(v)}" for k, v in (environment or {}).items()),
        command=shlex.join(command),
        nonce=nonce,
    )
    with open(busybox, "rb") as file:
        content = {
            "init": (stat.S_IFREG | 0o755, INIT.encode()),
            "bin/busybox": (stat.S_IFREG | 0o755, file.read()),
            "files/run/skep-guest": (stat.S_IFREG | 0o644, script.encode()),
        }
    for empty in ("dev", "proc", "sys", "tmp"):
        content[f"{empty}/.keep"] = (stat.S_IFREG | 0o644, b"")
    for number, (name, data) in enumerate(module_files(kernel).items()):
        content[f"modules/{number:03}-{name}.ko"] = (stat.S_IFREG | 0o644, data)
    for path in files:
        content.update(_tree(path))
    with tempfile.TemporaryDirectory(prefix="skep-vm-") as scratch:
        paths = {name: os.path.join(scratch, name) for name in ("initrd", "console", "out", "tar")}
        with open(paths["initrd"], "wb") as file:
            file.write(_cpio(content))
        arguments = [
            *(qemu, "-accel", "tcg,thread=multi", "-M", "pc", "-cpu", "max", "-smp", "1"),
            *("-m", str(memory), "-nodefaults", "-display", "none", "-no-reboot"),
            *("-kernel", kernel.image, "-initrd", paths["initrd"]),
            *("-drive", f"file={image},if=virtio,format=raw,snapshot=on"),
            *("-append", KERNEL_ARGUMENTS),
        ]
        for name in ("console", "out", "tar"):
            arguments += ["-serial", f"file:{paths[name]}"]
        expired, complaint = False, ""
        try:
            complaint = subprocess.run(
                arguments,
                timeout=timeout,
                check=False,
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            ).stderr
        except subprocess.TimeoutExpired:
            expired = True
        console = _text(paths["console"]) + complaint
        output = _text(paths["out"])
        if expired:
            message = f"the command did not end within {timeout:g} s on Linux {kernel.release}"
            raise GuestTimeoutError(message, console=console, output=output)
        for line in console.splitlines():
            if line.startswith(nonce):
                status = int(line.split()[1])
                return Result(status, output, _untar(paths["tar"]), console)
    tail = " | ".join(console.strip().splitlines()[-5:])
    message = f"the guest with Linux {kernel.release} died: {tail or 'it printed nothing'}"
    raise GuestError(message, console=console, output=output)


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def _untar(path: str) -> dict[str, bytes]:
    try:
        with tarfile.open(path) as archive:
            members = [member for member in archive if member.isfile()]
            return {m.name.removeprefix("./"): archive.extractfile(m).read() for m in members}  # type: ignore[union-attr]
    except tarfile.ReadError:
        return {}
