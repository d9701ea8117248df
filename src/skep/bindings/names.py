"""Names of C, sections and objects as Python identifiers.

The rule is the same on every machine and every Python: what cannot be in an identifier becomes
``_``, leading ``__`` one ``_`` (Python would mangle it inside a class), and what Python or the
module itself has a use for gets a ``_`` behind it. Of several names that become the same one, the
one that needed no change keeps it; the others are numbered.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_NAME = 200
"""Characters of a name that are kept; C compilers need to tell 63 apart."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Words that are no identifiers in any Python from 3.11 on; not asked of the running one.
KEYWORDS = _words(
    "False None True and as assert async await break class continue def del elif else except"
    " finally for from global if import in is lambda nonlocal not or pass raise return try while"
    " with yield"
)

# Names that a generated module uses itself, or that mean something to every reader of one.
MODULE = _words(
    "abs aiter all anext any ascii bin bool breakpoint bytearray bytes callable chr classmethod"
    " compile complex copyright credits delattr dict dir divmod enumerate eval exec exit filter"
    " float format frozenset getattr globals hasattr hash help hex id input int isinstance"
    " issubclass iter len license list locals map max memoryview min next object oct open ord pow"
    " print property quit range repr reversed round set setattr slice sorted staticmethod str sum"
    " super tuple type vars zip"
    " Any Arena ArrayMap AttachedStorage BloomFilter CgroupArray CgroupStorage Cpu CpuMap Device"
    " DeviceMap IPv4Address IPv6Address InodeStorage Load LpmTrie Map MapOfMaps Maps MaxEntries"
    " ObjectSpec Opened PerfEventArray Program ProgramArray Programs Queue ReuseportArray"
    " SocketMap SocketStorage StackTraces StructOpsMap TYPE_CHECKING TaskStorage TypedDict Unpack"
    " UserRingBuffer Variable Variables XskMap _BINDING _skep annotations os spec"
)

# Attributes of `int` and of enumerations; of every Python, which is why they are listed.
ENUM = _words(
    "as_integer_ratio bit_count bit_length conjugate denominator from_bytes imag is_integer mro"
    " name numerator real to_bytes value values"
)

# What the bases of the generated classes have themselves.
RECORD = _words("_annotations _declared _defaults _fields _names _type_name asdict mro replace")
NAMESPACE = _words("_live _map _program _variable mro property")

# Parameters of the generated `open`, those handed on to `ObjectSpec.load` included.
OPEN = _words(
    "Opened _BINDING btf constants load log_level max_entries object programs reuse_maps token"
)


def identifier(text: str) -> str:
    """Return *text* as something that may be an identifier, keywords not considered."""
    text = text[:MAX_NAME].lstrip(".")
    plain = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in text)
    if plain.startswith("__"):
        plain = "_" + plain.lstrip("_")
    if not plain or plain[0].isdigit():
        plain = f"_{plain}"
    return plain


class Names:
    """Gives out names of one scope, each once; *reserved* are never given."""

    __slots__ = ("_next", "_reserved", "_taken")

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        self._reserved = KEYWORDS.union(reserved)
        self._taken: set[str] = set()
        self._next: dict[str, int] = {}

    def take(self, text: str) -> str:
        """Return an identifier for *text* that nobody has yet."""
        plain = identifier(text)
        if plain in self._reserved:
            plain += "_"
        made, number = plain, self._next.get(plain, 2)
        stem = plain if plain.endswith("_") else f"{plain}_"
        while made in self._taken or made in self._reserved:
            made = f"{stem}{number}"
            number += 1
        self._next[plain] = number
        self._taken.add(made)
        return made

    def unchanged(self, text: str) -> bool:
        """Whether *text* would be its own name if it came first."""
        return identifier(text) == text and text not in self._reserved

    def assign(self, texts: Iterable[str]) -> list[str]:
        """Return a name for each of *texts*, in order: those that need no change choose first."""
        wanted = list(texts)
        made = [""] * len(wanted)
        order = sorted(range(len(wanted)), key=lambda i: not self.unchanged(wanted[i]))
        for index in order:
            made[index] = self.take(wanted[index])
        return made


def literal(text: str) -> str:
    """Return *text* as a Python string literal in double quotes, of printable ASCII only."""
    parts = []
    for char in text:
        code = ord(char)
        if char in '"\\':
            parts.append("\\" + char)
        elif 32 <= code < 127:
            parts.append(char)
        elif code < 256:
            parts.append(f"\\x{code:02x}")
        else:
            parts.append(f"\\u{code:04x}" if code < 1 << 16 else f"\\U{code:08x}")
    return '"' + "".join(parts) + '"'


def shown(text: str) -> str:
    """Return *text* fit to stand in a docstring or a line of a comment, whatever it is.

    One line of printable ASCII without quotes or backslashes; what it says instead of those is
    for a reader, and never read back.
    """
    return "".join(c if " " <= c <= "~" and c not in '"\\`' else "?" for c in text)
