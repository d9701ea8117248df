"""The two shell scripts that a guest runs: its first process, and what comes after the root."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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

# Continues in the root image. Every write to a serial port is one open and close, which waits
# until the port has sent all of it (drivers/tty: tty_port_close_start).
_RUN = """\
export PATH={path} HOME=/tmp TMPDIR=/tmp TERM=dumb
export PYTHONDONTWRITEBYTECODE=1 SKEP_GUEST=$(uname -r)
/bin/busybox --install -s /bin
mkdir -p /dev/pts /dev/shm /results /sys/fs/bpf /sys/fs/cgroup
mount -t devpts devpts /dev/pts; mount -t tmpfs shm /dev/shm
mount -t tracefs tracefs /sys/kernel/tracing; mount -t debugfs debugfs /sys/kernel/debug
mount -t bpf bpf /sys/fs/bpf; mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t securityfs securityfs /sys/kernel/security
ip link set lo up; chmod 1777 /tmp /dev/shm
for port in 1 2 3; do stty -F /dev/ttyS$port raw -echo; done
mkdir -p {folder}; cd {folder}
{environment} {command} >/dev/ttyS1 2>&1 </dev/null
status=$?
dmesg -n 1
tar -C /results -cf /dev/ttyS2 .
sync
echo "{nonce} $status" >/dev/ttyS0
reboot -f
"""


def run_script(
    command: Sequence[str],
    *,
    folder: str,
    environment: Mapping[str, str],
    programs: str,
    nonce: str,
) -> str:
    """Write the script that runs *command* in *folder* and reports its exit status.

    *programs* is the folder that comes first on the PATH. The status is the number behind
    *nonce* on the console.
    """
    assignments = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
    return _RUN.format(
        path=shlex.quote(f"{programs}:/usr/bin:/usr/sbin:/bin:/sbin"),
        folder=shlex.quote(folder),
        environment=assignments,
        command=shlex.join(command),
        nonce=nonce,
    )
