"""Where the BTF of a kernel that offers none itself may lie, and how each kind of file is read.

The places of "auto" are those where distributions put a kernel's image or its debugging
information, the same that other loaders look at. A directory holds files for many kernels:
``DISTRIBUTION/VERSION/ARCHITECTURE/RELEASE.btf`` as the BTFHub archive arranges them, compressed
(``.btf.tar.xz``) or not, or just ``RELEASE.btf``.
"""

from __future__ import annotations

import os
import sys

from skep.btf.btf import Btf
from skep.btf.target import Target
from skep.errors import BtfError, ElfError, NoBtfError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# With {} for the release. The order matters little: each has the same types if it is there.
IMAGES = (
    "/boot/vmlinux-{}",
    "/lib/modules/{}/vmlinux-{}",
    "/lib/modules/{}/build/vmlinux",
    "/usr/lib/modules/{}/kernel/vmlinux",
    "/usr/lib/debug/boot/vmlinux-{}",
    "/usr/lib/debug/boot/vmlinux-{}.debug",
    "/usr/lib/debug/lib/modules/{}/vmlinux",
)
MAX_SIZE = 256 << 20
"""The most bytes of BTF that are read: kernels have 2 to 40 MB."""

MADE_FOR = "skep: made for Linux "
"""The start of a string that `minimize` leaves in its result; the kernel's release follows."""

_OS_RELEASE = ("/etc/os-release", "/usr/lib/os-release")
# uname's word, and BTFHub's.
_ARCHITECTURES = {"aarch64": "arm64"}
_SUFFIXES = (".btf", ".btf.tar.xz")

_last: tuple[tuple[object, ...], Btf] | None = None


def search(near: str | None, tried: list[tuple[str, str]]) -> Target:
    """Go through the places for the running kernel, then beside the object file *near*.

    *tried* is what failed so far. Nothing that is wrong with a file stops the search.
    """
    release = os.uname().release
    for pattern in IMAGES:
        path = pattern.replace("{}", release)
        try:
            return Target(_native(read(path)), "boot", path, tuple(tried))
        except (OSError, BtfError, ElfError) as error:
            tried.append((path, _why(error)))
    if near:
        found = _shipped(near, tried)
        if found is not None:
            return found
    return Target(None, "none", "", tuple(tried))


def named(path: str, variable: str = "") -> Target:
    """Return the target for a file or directory that the user named, through *variable* or not.

    Raises `NoBtfError` when there is nothing, `BtfError` or `ElfError` for what is no BTF.
    """
    by = f" named by {variable}" if variable else ""
    if os.path.isdir(path):
        tried: list[tuple[str, str]] = []
        found = _in_directory(path, tried)
        if found is not None:
            return Target(found[0], "directory", found[1], tuple(tried))
        reasons = "; ".join(f"{place}: {why}" for place, why in tried)
        raise NoBtfError(
            f"the BTF directory {path}{by} has none for this kernel: {reasons}",
            hint=f"expected {os.uname().release}.btf or .btf.tar.xz there, or in"
            " DISTRIBUTION/VERSION/ARCHITECTURE/ in it",
            name=path,
            where=variable or path,
            tried=tuple(tried),
        )
    try:
        return Target(read(path), "file", path)
    except OSError as error:
        reason = _why(error)
        raise NoBtfError(
            f"the BTF file {path}{by} cannot be opened: {reason}",
            hint="" if os.sep in path else "auto, sysfs and none are the words with a meaning",
            name=path,
            where=variable or path,
            tried=((path, reason),),
        ) from error
    except (BtfError, ElfError) as error:
        if variable:
            error.hint = f"{variable} names this file"
        raise


def kernels_in(folder: str) -> list[str]:
    """Return the paths of all BTF files in *folder*, at any depth, relative to it, sorted."""
    return sorted(
        os.path.relpath(os.path.join(parent, name), folder)
        for parent, _, names in os.walk(folder)
        for name in names
        if name.endswith(_SUFFIXES)
    )


def read(path: str) -> Btf:
    """Read the BTF in the file at *path*: raw, in an ELF file, or a `.tar.xz` of one raw file.

    Raises `OSError`, `BtfError`, `ElfError`. A file is read once as long as it stays the last
    one asked for, and the same.
    """
    global _last  # noqa: PLW0603  a cache
    with open(path, "rb") as file:
        about = os.fstat(file.fileno())
        key = (path, about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns)
        last = _last
        if last is not None and last[0] == key:
            return last[1]
        if path.endswith(".xz"):
            from skep.btf.archive import member

            btf = Btf.from_bytes(member(file, path, MAX_SIZE), name=path)
        elif file.read(4) == b"\x7fELF":
            btf = _from_elf(file.fileno(), path)
        else:
            file.seek(0)
            data = file.read(MAX_SIZE + 1)
            if len(data) > MAX_SIZE:
                raise BtfError(f"{path} has more than {MAX_SIZE} bytes", source=path)
            btf = Btf.from_bytes(data, name=path)
    _last = (key, btf)
    return btf


def _from_elf(descriptor: int, path: str) -> Btf:
    """Read the section .BTF of an ELF file, which may have gigabytes of debugging information."""
    import mmap

    from skep.elf.reader import ElfFile

    with mmap.mmap(descriptor, 0, prot=mmap.PROT_READ) as mapping, memoryview(mapping) as view:
        try:
            elf = ElfFile(view, path)
            try:
                section = elf.section(".BTF")
                if section is None or not section.size:
                    raise BtfError(f"{path} has no BTF: there is no section .BTF", source=path)
                if section.size > MAX_SIZE:
                    raise BtfError(f"{path} has more than {MAX_SIZE} bytes of BTF", source=path)
                with elf.data(section) as part:
                    data = bytes(part)
            finally:
                elf.release()
        except (BtfError, ElfError) as error:
            # The frames in its traceback hold views; the mapping could not close.
            raise error.with_traceback(None)  # noqa: B904
    return Btf.from_bytes(data, name=path)


def _native(btf: Btf) -> Btf:
    """Refuse BTF of the other byte order, which cannot be this kernel's."""
    if btf.byteorder != sys.byteorder:
        raise BtfError(f"{btf.name} is {btf.byteorder}-endian, this machine is not")
    return btf


def _shipped(near: str, tried: list[tuple[str, str]]) -> Target | None:
    """Find BTF beside the object file *near*: `prog.btf` for prog.bpf.o, a file or a directory."""
    place = near.removesuffix(".o").removesuffix(".bpf") + ".btf"
    if os.path.isdir(place):
        found = _in_directory(place, tried)
        return None if found is None else Target(found[0], "shipped", found[1], tuple(tried))
    try:
        btf = _native(read(place))
    except (OSError, BtfError, ElfError) as error:
        tried.append((place, _why(error)))
        return None
    made_for = [text.removeprefix(MADE_FOR) for text in btf.strings_starting(MADE_FOR)]
    release = os.uname().release
    if made_for and release not in made_for:
        tried.append((place, f"it was made for Linux {made_for[0]}, and this is {release}"))
        return None
    return Target(btf, "shipped", place, tuple(tried))


def _in_directory(folder: str, tried: list[tuple[str, str]]) -> tuple[Btf, str] | None:
    """Find this kernel's file in *folder*: in the distribution's place, at the top, anywhere.

    Releases are nearly always those of one distribution. Where several have a file, and the
    machine's own is not among them, none is taken.
    """
    release, machine = os.uname().release, os.uname().machine
    machine = _ARCHITECTURES.get(machine, machine)
    identity = _os_release()
    own = os.path.join(folder, identity.get("ID", ""), identity.get("VERSION_ID", ""), machine)
    seen = set()
    for parent in (own, folder):
        for suffix in _SUFFIXES:
            path = os.path.join(parent, release + suffix)
            seen.add(path)
            try:
                return _native(read(path)), path
            except (OSError, BtfError, ElfError) as error:
                tried.append((path, _why(error)))
    others = [path for path in _everywhere(folder, machine, release) if path not in seen]
    if len({path.removesuffix(".tar.xz") for path in others}) > 1:
        tried.append((folder, f"it has {release} for several: {', '.join(others)}"))
        return None
    for path in others:
        try:
            return _native(read(path)), path
        except (OSError, BtfError, ElfError) as error:
            tried.append((path, _why(error)))
    return None


def _everywhere(folder: str, machine: str, release: str) -> Iterator[str]:
    """Yield this kernel's files in *folder*, of any distribution and version."""
    for distribution in _folders(folder):
        for version in _folders(distribution):
            for suffix in _SUFFIXES:
                path = os.path.join(version, machine, release + suffix)
                if os.path.isfile(path):
                    yield path


def _folders(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.path for entry in entries if entry.is_dir())
    except OSError:
        return []


def _os_release() -> dict[str, str]:
    """Read os-release(5): the distribution's ID and VERSION_ID."""
    for path in _OS_RELEASE:
        try:
            with open(path, encoding="utf-8", errors="replace") as lines:
                pairs = [line.strip().partition("=") for line in lines]
        except OSError:
            continue
        return {name: value.strip("\"'") for name, equals, value in pairs if equals}
    return {}


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and not isinstance(error, (BtfError, ElfError)):
        return error.strerror or str(error)
    return error.message if isinstance(error, (BtfError, ElfError)) else str(error)
