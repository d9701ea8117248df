"""A small file that remembers what was looked up in the kernel's BTF.

Finding a type means searching 6 MB for its name and then counting records up to it, 0.1 to 13 ms.
What one process finds out the next one on this machine will ask again, so the answers are kept:
which ids a name has, and where the records of the types are that were looked at. A few KB.

It is an optimisation and nothing else. The file is used when

* it and its directory belong to the process's user, nobody else may write to them, and neither is
  a symbolic link;
* it is whole: its length and its checksum are right;
* its answers are about this BTF: the hash in it is that of the BTF. Hashing 6 MB takes 2 ms, so
  that is done once a boot: the file also says in which boot, and for which file of sysfs, the hash
  was found to be right, and what is on sysfs does not change while a kernel runs. A BTF that is not
  on sysfs (one that was mounted over it) has no index;
* every record it points at is there, is of a valid kind, and has the name it should have.

Otherwise it is as if it were not there. A file is replaced as a whole (rename), so that readers
and several writers never see half of one. A home that cannot be written to, a full disk: no index.

The directory is `skep` in `$XDG_CACHE_HOME` or `~/.cache`, for root in `/var/cache`, in a systemd
service in its `$CACHE_DIRECTORY`; made with mode 0700. `SKEP_CACHE` names another; `off` is none.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.btf.btf import Btf
    from skep.kernel.fd import FD

    Known = dict[tuple[str, "int | None"], tuple[int, ...]]

VARIABLE = "SKEP_CACHE"
FILE = "vmlinux.index"
MAX_SIZE = 1 << 17
_MAGIC = "skep BTF index 1"
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
# A number modulo a prime notices every change of up to 89 bits in a row, and importing zlib for
# better costs more than this does for a whole file.
_PRIME = (1 << 89) - 1


class Index:
    """The index of one BTF, which lies in sysfs as the open *file*; see `attach`."""

    __slots__ = ("_btf", "_hash", "_identity", "_stored")

    def __init__(self, btf: Btf, identity: str) -> None:
        self._btf = btf
        self._identity = identity  # of the boot and the file in sysfs
        self._hash = ""  # of the BTF, "" until it is needed
        self._stored: tuple[int, int] | None = None  # how much of it the file has; None: nothing

    def load(self) -> None:
        """Take over the answers of the file, if there is one that holds."""
        lines = _read()
        if len(lines) < 4 or lines[0] != _MAGIC:
            return
        if lines[1] == self._identity:
            self._hash = lines[2]
        elif lines[2] != self.hash:
            return
        try:
            places, known = _parse(lines[3:])
        except ValueError:
            return
        if self._btf.learn(places, known) and lines[1] == self._identity:
            self._stored = len(places), len(known)

    def save(self) -> None:
        """Write what is known by now, when that is more than the file has. Never raises."""
        places, known = self._btf.learned()
        if (len(places), len(known)) == self._stored or not known:
            return
        lines = [_MAGIC, self._identity, self.hash]
        lines += [" ".join(f"{id_}:{at}" for id_, at in places.items())]
        lines += [
            f"{'' if kind is None else kind} {','.join(map(str, ids))} {name}"
            for (name, kind), ids in known.items()
            if name.isprintable()
        ]
        _write("\n".join(lines).encode())
        self._stored = len(places), len(known)

    @property
    def hash(self) -> str:
        """The BTF's length and CRC-32: what tells one kernel's from another's."""
        if not self._hash:
            from zlib import crc32

            data = self._btf.memory.data
            self._hash = f"{len(data)} {crc32(data):08x}"
        return self._hash


def attach(btf: Btf, file: FD) -> Index | None:
    """Return the index of *btf*, loaded; None when there is none to be had.

    *file* is the file on sysfs that *btf* was read from. Never raises.
    """
    if directory() is None:
        return None
    try:
        status = os.fstat(file.fileno())
        with open(_BOOT_ID, "rb", buffering=0) as stream:
            boot = stream.read().strip().decode("utf-8")
    except (OSError, ValueError):
        return None
    found = Index(btf, f"{boot} {status.st_dev} {status.st_ino} {status.st_size}")
    found.load()
    return found


def directory() -> str | None:
    """Return where the index is kept, None when it is switched off. It need not exist."""
    chosen = os.environ.get(VARIABLE, "")
    if chosen == "off":
        return None
    if os.geteuid() != os.getuid():
        return None  # the environment is that of another user
    if not chosen:
        above = os.environ.get("CACHE_DIRECTORY", "").partition(":")[0]
        if not above and not os.geteuid():
            above = "/var/cache"
        if not above:
            above = os.environ.get("XDG_CACHE_HOME", "") or os.path.expanduser("~/.cache")
        chosen = f"{above}/skep"
    return chosen if chosen.startswith("/") else None


def _parse(lines: list[str]) -> tuple[dict[int, int], Known]:
    """Return the places and names in *lines*; `ValueError` when they are none."""
    places: dict[int, int] = {}
    for pair in lines[0].split():
        id_, _, at = pair.partition(":")
        places[int(id_)] = int(at)
    known: Known = {}
    for line in lines[1:]:
        kind, ids, name = line.split(" ", 2)
        known[name, int(kind) if kind else None] = tuple(map(int, ids.split(",") if ids else ()))
    return places, known


def _open(create: bool) -> int:
    """Open the directory; `OSError` when it is not there or not private."""
    path = directory()
    if path is None:
        raise OSError
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        found = os.open(path, flags)
    except FileNotFoundError:
        if not create:
            raise
        os.makedirs(path, 0o700, exist_ok=True)
        found = os.open(path, flags)
    if not _is_private(os.fstat(found)):
        os.close(found)
        raise OSError
    return found


def _is_private(status: os.stat_result) -> bool:
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022


def _read() -> list[str]:
    """Return the lines of the file without its checksum; none unless the file is as written."""
    try:
        folder = _open(create=False)
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            file = os.open(FILE, flags, dir_fd=folder)
        finally:
            os.close(folder)
        try:
            status = os.fstat(file)
            if status.st_mode & 0o170000 != 0o100000 or not _is_private(status):
                return []
            data = os.read(file, MAX_SIZE + 1)
        finally:
            os.close(file)
        content, _, sum_ = data.rpartition(b"\n")
        if len(data) != status.st_size or sum_ != _checksum(content):
            return []
        return content.decode("utf-8").split("\n")
    except (OSError, ValueError):
        return []


def _write(content: bytes) -> None:
    """Replace the file; when that fails, there is nothing new."""
    data = content + b"\n" + _checksum(content)
    if len(data) > MAX_SIZE:
        return
    try:
        folder = _open(create=True)
    except OSError:
        return
    # A name that no other process or thread has now.
    name = f".{FILE}.{os.getpid()}.{id(data):x}"
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(name, flags, 0o600, dir_fd=folder)
        try:
            try:
                complete = os.write(file, data) == len(data)
            finally:
                os.close(file)
            if complete:
                os.rename(name, FILE, src_dir_fd=folder, dst_dir_fd=folder)
        finally:
            _remove(name, folder)
    except OSError:
        return
    finally:
        os.close(folder)


def _remove(name: str, folder: int) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except OSError:
        return  # it was renamed


def _checksum(content: bytes) -> bytes:
    number = int.from_bytes(content, "little") * (len(content) | 1) % _PRIME
    return f"{number:023x}".encode()
