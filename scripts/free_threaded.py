"""Build a free-threaded Python, on which `make test-free-threaded` runs the tests of maps.

Debian has no package of one, but the source, signed: this takes it from the release of the
mirror that apt is configured for, and builds it in a few minutes without optimisation::

    python scripts/free_threaded.py FOLDER      # FOLDER/bin/python3.13t

Needs the compiler, and the headers that ctypes, hashlib and zlib want (`PACKAGES`), which are
installed when root runs this. What is in FOLDER already is not built again.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

SUITE = "trixie"
SOURCE = "python3.13"
PACKAGES = ("gcc", "libc6-dev", "libffi-dev", "libssl-dev", "make", "xz-utils", "zlib1g-dev")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def mirror() -> str:
    """Return the address of the Debian mirror that apt uses, other than that of security."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for line in listed.splitlines():
        address = line.rstrip("/")
        if address.endswith("/debian"):
            return address
    sys.exit("apt is configured for no Debian mirror: the source of Python cannot be fetched")


def fetch(folder: Path) -> Path:
    """Download the source package into *folder*, checked by apt, and unpack it."""
    sources = folder / "debian.sources"
    sources.write_text(
        f"Types: deb-src\nURIs: {mirror()}\nSuites: {SUITE}\nComponents: main\n"
        f"Signed-By: {KEYRING}\n"
    )
    lists, cache = folder / "lists" / "partial", folder / "cache" / "archives" / "partial"
    lists.mkdir(parents=True)
    cache.mkdir(parents=True)
    apt = [
        "apt-get", "-qq",
        "-o", f"Dir::Etc::SourceList={sources}",
        "-o", "Dir::Etc::SourceParts=/dev/null",
        "-o", f"Dir::State::Lists={lists.parent}",
        "-o", f"Dir::Cache={cache.parent.parent}",
        "-o", "APT::Sandbox::User=root",
    ]  # fmt: skip
    subprocess.run([*apt, "update"], check=True)
    subprocess.run([*apt, "source", "--download-only", SOURCE], cwd=folder, check=True)
    (archive,) = folder.glob("*.orig.tar.xz")
    subprocess.run(["tar", "-xf", archive.name], cwd=folder, check=True)
    (unpacked,) = folder.glob("Python-*")
    return unpacked


def build(source: Path, into: Path) -> None:
    """Build and install the interpreter; what went wrong is in the log, shown then."""
    jobs = f"-j{os.cpu_count()}"
    steps = (
        ["./configure", "--quiet", "--disable-gil", f"--prefix={into}", "--disable-test-modules"],
        ["make", "--quiet", jobs],
        ["make", "--quiet", "altinstall"],
    )
    for step in steps:
        done = subprocess.run(step, cwd=source, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{' '.join(step)} failed:\n{(done.stdout + done.stderr)[-4000:]}")


def main() -> None:
    """Build into the folder that is the argument, and print the interpreter's path."""
    if len(sys.argv) != 2:
        sys.exit("usage: free_threaded.py FOLDER")
    into = Path(sys.argv[1]).resolve()
    interpreter = into / "bin" / f"{SOURCE}t"
    if not interpreter.exists():
        if os.geteuid() == 0:
            environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            install = ["apt-get", "install", "-qq", "-y", "--no-install-recommends", *PACKAGES]
            subprocess.run(["apt-get", "update", "-qq"], check=True)
            subprocess.run(install, check=True, env=environment, stdout=subprocess.DEVNULL)
        with tempfile.TemporaryDirectory() as scratch:
            build(fetch(Path(scratch)), into)
    sys.stdout.write(f"{interpreter}\n")


if __name__ == "__main__":
    main()
