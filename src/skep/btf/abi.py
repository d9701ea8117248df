"""How wide and how aligned C's numbers are on each architecture: what decides a struct's layout.

BPF programs and 64-bit kernels agree on everything but a detail of s390. On 32 bits `long` and
pointers have four bytes, and some architectures align what has eight bytes to four or less.

Sources: the processor supplements of the System V ABI (i386: section 2.1; s390x and PowerPC
likewise), Procedure Call Standard for the Arm Architecture, RISC-V and LoongArch ELF psABI. The
tests compare every one of them with what a compiler for it does.
"""

from __future__ import annotations

from skep.errors import NotFoundError


class Abi:
    """One architecture's data model.

    `word` is the size in bytes of `long` and of a pointer, `aligns` the alignment of a number by
    its size, `long_double` the size and alignment of that type, `byteorder` "little" or "big".
    """

    __slots__ = ("aligns", "byteorder", "long_double", "name", "word")

    def __init__(
        self,
        name: str,
        word: int = 8,
        *,
        eight: int = 8,
        sixteen: int = 16,
        long_double: tuple[int, int] = (16, 16),
        byteorder: str = "little",
    ) -> None:
        self.name = name
        self.word = word
        self.aligns = {1: 1, 2: 2, 4: 4, 8: eight, 16: sixteen}
        self.long_double = long_double
        self.byteorder = byteorder

    def __repr__(self) -> str:
        return f"<Abi {self.name}, {8 * self.word} bits, {self.byteorder}-endian>"


_ALL = (
    Abi("x86_64"),
    Abi("arm64"),
    Abi("riscv64"),
    Abi("loongarch64"),
    Abi("ppc64le"),
    Abi("ppc64", byteorder="big"),
    Abi("s390x", sixteen=8, long_double=(16, 8), byteorder="big"),
    Abi("mips64el"),
    Abi("mips64", byteorder="big"),
    Abi("sparc64", byteorder="big"),
    Abi("i386", 4, eight=4, long_double=(12, 4)),
    Abi("arm", 4, long_double=(8, 8)),
    Abi("riscv32", 4),
    Abi("mipsel", 4, long_double=(8, 8)),
    Abi("mips", 4, long_double=(8, 8), byteorder="big"),
    Abi("ppc", 4, byteorder="big"),
)
ABIS = {abi.name: abi for abi in _ALL}
"""All known, by name."""

_ALIASES = {
    "amd64": "x86_64",
    "x86-64": "x86_64",
    "bpf": "x86_64",
    "bpfel": "x86_64",
    "aarch64": "arm64",
    "powerpc64": "ppc64",
    "powerpc64le": "ppc64le",
    "i486": "i386",
    "i586": "i386",
    "i686": "i386",
    "x86": "i386",
    "armv6l": "arm",
    "armv7l": "arm",
    "armhf": "arm",
    "powerpc": "ppc",
}


def abi(name: str) -> Abi:
    """Return the data model of the architecture *name*, as `uname -m` and compilers spell it.

    Raises `NotFoundError` with the names there are.
    """
    known = ABIS.get(_ALIASES.get(name.lower(), name.lower()))
    if known is None:
        raise NotFoundError(
            f"skep does not know how C lays out types on {name!r}",
            hint=f"it knows {', '.join(ABIS)}",
            name=name,
            where="skep.btf.abi",
        )
    return known
