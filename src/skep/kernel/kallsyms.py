"""Addresses of the kernel's symbols, from /proc/kallsyms.

The file is generated line by line when it is read: 20 to 40 ms for the 122 000 symbols of a
distribution's kernel. So it is read once for all names that are wanted, and searched as one
text; nothing splits it into lines. Format: ``ffffffff81000000 T _stext``, and for symbols of
modules a tab and ``[module]`` (kernel/kallsyms.c, s_show).
"""

from __future__ import annotations

import os

from skep.errors import SkepError, UnsupportedError
from skep.kernel.capabilities import explain_eperm

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

KALLSYMS = "/proc/kallsyms"
_RESTRICT = "/proc/sys/kernel/kptr_restrict"
_CHUNK = 1 << 18
# Start of the kernel's text: never at address 0, while per-CPU symbols may be.
_TEXT = (b"_stext", b"_text")


class KernelSymbol:
    """One symbol: `name`, `address`, `module` ("" for the kernel itself), `kind`.

    `kind` is the letter of nm(1): "T" text, "D" data, "R" constants, "B" zeroed data, lower case
    for symbols that are local to their file.
    """

    __slots__ = ("address", "kind", "module", "name")

    def __init__(self, name: str, address: int, kind: str, module: str = "") -> None:
        self.name = name
        self.address = address
        self.kind = kind
        self.module = module

    def __repr__(self) -> str:
        module = f" [{self.module}]" if self.module else ""
        return f"<KernelSymbol {self.name}{module} {self.kind} at {self.address:#x}>"


def symbols(names: Iterable[str], *, source: str = KALLSYMS) -> dict[str, list[KernelSymbol]]:
    """Find every symbol called one of *names*, in the order of the file.

    Names that do not exist are not in the result. A symbol that the compiler renamed for link-time
    optimisation (``name.llvm.1234``) counts as *name* when there is no other.

    Raises `PrivilegeError` naming CAP_SYSLOG when the kernel shows this process no addresses (all
    are 0), and `UnsupportedError` when kernel.kptr_restrict hides them from everybody or there is
    no /proc/kallsyms.
    """
    text = _read(source)
    found: dict[str, list[KernelSymbol]] = {}
    for name in names:
        hits = list(_hits(text, name))
        if hits:
            found[name] = hits
    if any(not hit.address for hits in found.values() for hit in hits) and _hidden(text):
        raise _no_addresses(sorted(found))
    return found


def has_prefix(prefix: str, *, source: str = KALLSYMS) -> bool:
    """Whether some symbol's name starts with *prefix*; no privilege is needed.

    Reads only as far as the first one.
    """
    needle = b" " + prefix.encode()
    tail = b""
    try:
        with open(source, "rb", buffering=0) as file:
            while chunk := file.read(_CHUNK):
                if needle in tail + chunk:
                    return True
                tail = chunk[-len(needle) :]
    except OSError as error:
        raise _no_file(source, error) from error
    return False


def _read(source: str) -> bytes:
    try:
        with open(source, "rb", buffering=0) as file:
            return file.read()
    except OSError as error:
        raise _no_file(source, error) from error


def _hits(text: bytes, name: str) -> list[KernelSymbol]:
    wanted = name.encode("utf-8", "surrogateescape")
    if not wanted or any(byte <= 32 for byte in wanted):
        return []
    exact, renamed = [], []
    needle = b" " + wanted
    at = text.find(needle)
    while at >= 0:
        after = text[at + len(needle) : at + len(needle) + 6]
        if not after or after[:1] in b"\n\t":
            exact.append(_at(text, at, name))
        elif after == b".llvm.":
            renamed.append(_at(text, at, name))
        at = text.find(needle, at + 1)
    return exact or renamed


def _at(text: bytes, at: int, name: str) -> KernelSymbol:
    """Decode the line whose symbol name follows the space at *at*."""
    start = text.rfind(b"\n", 0, at) + 1
    end = text.find(b"\n", at)
    line = text[start : end if end >= 0 else len(text)].decode("utf-8", "replace")
    address, kind, rest = line.split(" ", 2)
    _, _, module = rest.partition("\t")
    return KernelSymbol(name, int(address, 16), kind, module.strip("[] \t"))


def _hidden(text: bytes) -> bool:
    """Whether the addresses in *text* are zeroes because this process may not see them."""
    hits = [hit for name in _TEXT for hit in _hits(text, name.decode())]
    if hits:
        return not any(hit.address for hit in hits)
    # No such symbol: take the last line, which is far from the per-CPU symbols at the start.
    last = text.rstrip().rpartition(b"\n")[2].split(b" ", 1)[0]
    return not last.strip(b"0")


def _no_addresses(names: list[str]) -> SkepError:
    """Explain by kallsyms_show_value (kernel/ksyms_common.c) why all addresses are 0."""
    restrict = _number(_RESTRICT)
    what = f"reading the address of {', '.join(names)} from {KALLSYMS}"
    if restrict == 2:
        return UnsupportedError(
            f"{what} gives 0: kernel.kptr_restrict is 2, which hides addresses from everybody",
            hint="as root: sysctl kernel.kptr_restrict=1",
            feature="kernel addresses",
            kptr_restrict=restrict,
        )
    return explain_eperm("kallsyms", what, ("CAP_SYSLOG",), kptr_restrict=restrict)


def _number(path: str) -> int:
    try:
        with open(path) as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0


def _no_file(source: str, error: OSError) -> UnsupportedError:
    there = os.path.exists(source)
    hint = "" if there else "the kernel is built without CONFIG_KALLSYMS, or /proc is not mounted"
    message = f"the kernel's symbols cannot be read: {source}: {error.strerror}"
    return UnsupportedError(message, hint=hint, feature="kallsyms")
