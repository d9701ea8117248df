"""Compiles what tests load and probe, and keeps it under a digest of all that decides about it.

A guest (`skep.vm`) has no compiler. It finds what the host sent along, and asks the host, over a
serial port, for the rest.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parent.parent
CACHE = ROOT / ".cache" / "compiled"
PORT = "/dev/ttyS3"  # where a guest asks the host
CHUNK = 2048  # bytes in an answer: a line of a terminal holds 4095 characters
KEPT_DAYS = 3
LARGE = 1 << 20  # bytes
_answering = threading.Lock()


class CompileBpf(Protocol):
    """The type of the fixture `compile_bpf`."""

    def __call__(self, source: str, *, target: str = ..., compiler: str = ...) -> Path:
        """Compile C *source* text and return the object's path."""


class CompileC(Protocol):
    """The type of the fixture `compile_c`."""

    def __call__(self, source: str, *flags: str) -> Path:
        """Compile C *source* text for this machine and return the program's path."""


def bpf(source: str, target: str = "bpfel", compiler: str = "ziglang", *flags: str) -> Path:
    """Compile BPF C *source* with *flags* added and return the object's path.

    A *compiler* other than ziglang is a clang whose name has its version, "clang-16".
    """
    path = bpf_path(source, target, compiler, *flags)

    def make(output: Path) -> None:
        from skep.build.compiler import compile as compile_source

        text = output.with_suffix(".c")
        text.write_text(source)
        compile_source(text, output, target=target, compiler=compiler, flags=flags)

    return _kept(path, make, ["bpf", source, target, compiler, *flags])


def bpf_path(source: str, target: str, compiler: str, *flags: str) -> Path:
    """Say where `bpf` keeps what it makes of these arguments."""
    order = ".big" if target == "bpfeb" else ""
    return CACHE / f"{_digest('bpf', source, target, compiler, *flags)}{order}.bpf.o"


def linked(first: str, second: str, target: str = "bpfel", compiler: str = "ziglang") -> Path:
    """Compile two BPF C sources and link them, by bpftool, to one object; return its path."""
    path = CACHE / f"{_digest('linked', first, second, target, compiler)}.bpf.o"

    def make(output: Path) -> None:
        parts = [bpf(first, target, compiler), bpf(second, target, compiler)]
        command = ["bpftool", "gen", "object", str(output), *map(str, parts)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"bpftool does not link two objects: {done.stderr}")

    return _kept(path, make, ["linked", first, second, target, compiler])


def c(source: str, *flags: str) -> Path:
    """Compile C *source* for this machine, with threads and -O1 unless *flags* say otherwise.

    The compiler is the one of the ziglang package; it makes the same program on every machine.
    """
    path = CACHE / f"{_digest('c', source, *flags)}" / "target"

    def make(output: Path) -> None:
        (output.parent / "target.c").write_text(source)
        # The plainest processor, for emulators; no traps for undefined behaviour.
        machine = ["-target", f"{os.uname().machine}-linux-gnu"] if "-target" not in flags else []
        options = [*machine, "-O1", "-pthread", "-fno-sanitize=all", *flags]
        command = [sys.executable, "-m", "ziglang", "cc", *options, "-o", output.name, "target.c"]
        done = subprocess.run(
            command, cwd=output.parent, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"a test's program does not compile:\n{done.stderr}")

    return _kept(path, make, ["c", source, *flags])


def _kept(path: Path, make: Callable[[Path], None], request: list[str]) -> Path:
    """Return *path* as it is, or made by *make* in a folder of its own, or from the host."""
    if path.exists():
        os.utime(path)
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="making-") as folder:
        scratch = Path(folder, path.name)
        if "SKEP_GUEST" in os.environ:
            scratch.write_bytes(_fetch(request))
        else:
            make(scratch)
        scratch.chmod(0o755)
        scratch.rename(path)
    return path


def _digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps([_tools(), *parts]).encode()).hexdigest()[:20]


@cache
def _tools() -> str:
    """Digest what turns a source into an object: headers, options, the compiler's version."""
    digest = hashlib.sha256(version("ziglang").encode())
    for folder, pattern in (("include", "*.h"), ("build", "*.py"), ("elf", "strip.py")):
        for file in sorted((ROOT / "src" / "skep" / folder).rglob(pattern)):
            digest.update(file.read_bytes())
    digest.update(Path(__file__).read_bytes())
    return digest.hexdigest()


def kept() -> list[str]:
    """List what is there and worth sending to a guest."""
    found = [*CACHE.glob("*.o"), *CACHE.glob("*/target")]
    return [
        str(path)
        for path in found
        if path.stat().st_size < LARGE and not path.name.endswith(".big.bpf.o")
    ]


def prune() -> None:
    """Forget what no test asked for in days: sources change, and each version is another file."""
    oldest = time.time() - KEPT_DAYS * 24 * 3600
    for folder, _, names in os.walk(CACHE):
        for path in (Path(folder, name) for name in names):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < oldest:
                    path.unlink()


def _fetch(request: list[str]) -> bytes:
    """Have the host compile what *request* says; `RuntimeError` with its reason."""
    made, data = _ask({"compile": request}), b""
    while len(data) < made["size"]:
        data += base64.b64decode(_ask({"path": made["path"], "from": len(data)})["data"])
    return data


def _ask(question: dict[str, Any]) -> dict[str, Any]:
    # A serial port is slow, and may lose some of what is long: a source is a tenth of itself.
    packed = base64.b64encode(zlib.compress(json.dumps(question).encode()))
    with open(PORT, "r+b", buffering=0) as port:
        view = memoryview(packed + b"\n")
        while view:
            view = view[port.write(view) or 0 :]
        answer = bytearray()
        while not answer.endswith(b"\n"):
            answer += port.read(4096)
    if not answer.strip():
        raise RuntimeError(
            "this program is not in .cache/compiled, and nobody answers on the host: "
            "run the guests with make test-vm"
        )
    decoded: dict[str, Any] = json.loads(answer)
    if "error" in decoded:
        raise RuntimeError(f"the host could not compile it: {decoded['error']}")
    return decoded


_MAKERS: dict[str, Callable[..., Path]] = {"bpf": bpf, "linked": linked, "c": c}


def answer(line: str) -> str:
    """Answer a guest's question, on the host: compile, or return a piece of what was compiled."""
    try:
        question = json.loads(zlib.decompress(base64.b64decode(line)))
        with _answering:  # one guest at a time: they often ask for the same
            return json.dumps(_answered(question))
    except Exception as error:  # noqa: BLE001 - the guest's test is where it belongs
        return json.dumps({"error": str(error)[:1000]})


def _answered(question: dict[str, Any]) -> dict[str, Any]:
    if "compile" in question:
        kind, *arguments = question["compile"]
        path = _MAKERS[kind](*arguments)
        return {"path": str(path), "size": path.stat().st_size}
    with open(question["path"], "rb") as file:
        file.seek(question["from"])
        return {"data": base64.b64encode(file.read(CHUNK)).decode()}
