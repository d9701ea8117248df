"""Where in a file a probe goes: from a symbol, an offset or an address to a file offset."""

from __future__ import annotations

import os

from skep.elf.binary import resolve_binary
from skep.elf.entry import entry_offset
from skep.errors import NotFoundError, RangeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from skep.elf.binary import Binary

EM_X86_64 = 62


class Place:
    """One place for a probe: `offset` in the file and the `text` that names it for people."""

    __slots__ = ("offset", "text")

    def __init__(self, offset: int, text: str) -> None:
        self.offset = offset
        self.text = text


def resolve(binary: str | os.PathLike[str], pid: int | None, *, option: str) -> str:
    """Return the path of *binary*, as `resolve_binary` does.

    For "libc:malloc", as section names have it, the error says that the function goes into
    *option*, an example of the keyword to use.
    """
    name = os.fspath(binary)
    try:
        return resolve_binary(name, pid)
    except NotFoundError as error:
        path, _, symbol = name.rpartition(":")
        if not path or not symbol or error.name != name:
            raise
        hint = f"give the function as {option.format(symbol)}"
        raise NotFoundError(error.message, hint=hint, **error.evidence) from None


def find(
    binary: Binary,
    symbol: str | None = None,
    *,
    offset: int = 0,
    address: int | None = None,
    cheap: bool = True,
) -> Place:
    """Return the place of *symbol* plus *offset*, of *address*, or of the bare file *offset*.

    *address* is the virtual address in the file, as nm and objdump print it. When *cheap*, a
    probe at a symbol goes to the first instruction that the kernel emulates instead of
    single-stepping, where arguments and stack pointer are still intact (`skep.elf.entry`).
    """
    if symbol is not None:
        if address is not None:
            raise RangeError("symbol and address exclude each other", hint="give one of them")
        hit = binary.symbol_offset(symbol)
        if offset < 0 or (hit.size and offset >= hit.size):
            raise RangeError(
                f"offset {offset:#x} lies outside of {symbol}, which has {hit.size} bytes",
                hint="an offset counts bytes from the symbol's first",
            )
        extra = offset
        if cheap and not offset and binary.machine == EM_X86_64:
            extra = entry_offset(binary.code(hit))
        return Place(hit.file_offset + extra, symbol + (f"+{extra:#x}" if extra else ""))
    if address is not None:
        return Place(binary.file_offset(address + offset), f"{address + offset:#x}")
    if not offset:  # the file's own header: nobody means it
        raise RangeError("no place was given", hint="give symbol=, address= or offset=")
    binary.address(offset)  # raises for what is never mapped; the kernel would only say EINVAL
    return Place(offset, f"file offset {offset:#x}")


def find_all(
    binary: Binary, symbols: Sequence[str], offsets: Sequence[int], *, cheap: bool
) -> list[Place]:
    """Return the places of *symbols* (names, or patterns with ``*``, ``?``) and file *offsets*."""
    places = []
    for symbol in symbols:
        pattern = "*" in symbol or "?" in symbol
        names = _matching(binary, symbol) if pattern else [symbol]
        places += [find(binary, name, cheap=cheap) for name in names]
    places += [find(binary, offset=offset) for offset in offsets]
    return places


def _matching(binary: Binary, pattern: str) -> list[str]:
    from fnmatch import filter as matching

    names = sorted(set(matching((function.name for function in binary.functions()), pattern)))
    if not names:
        raise NotFoundError(
            f"no function of {binary.path} matches {pattern}",
            hint="`nm` lists the functions of a binary",
            name=pattern,
            where=binary.path,
        )
    return names
