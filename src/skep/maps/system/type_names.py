"""Types by the names that people give them: ``struct event``, ``u32``, ``unsigned long``."""

from __future__ import annotations

from skep.errors import NotFoundError, SkepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from skep.btf.btf import Btf

# The spellings of C's own words, and what BTF calls them.
_C_WORDS = {
    "unsigned": "unsigned int", "unsigned long": "long unsigned int", "u64": "__u64",
    "unsigned long long": "long long unsigned int", "unsigned short": "short unsigned int",
    "ulong": "long unsigned int", "u32": "__u32", "u16": "__u16", "u8": "__u8", "s8": "__s8",
    "s64": "__s64", "s32": "__s32", "s16": "__s16", "be16": "__be16", "be32": "__be32",
    "be64": "__be64", "le16": "__le16", "le32": "__le32", "le64": "__le64",
}  # fmt: skip


class Places:
    """Where a type's name is looked up: an object file, the map's own types, the kernel's."""

    def __init__(self, object: str | None, own: Btf | None) -> None:
        self._own = own
        self._object: Btf | None = None
        if object is not None:
            from skep.btf.distilled import elf_btf
            from skep.btf.kernel import kernel_btf
            from skep.elf.reader import ElfFile

            with open(object, "rb") as stream:
                data = stream.read()
            self._object = elf_btf(ElfFile(data, object), kernel_btf)

    def find(self, name: str) -> tuple[Btf, int]:
        """Return (btf, id) of the type that *name* means; `NotFoundError` with close names.

        "struct event", "event", "__u32", "u32", "unsigned long", "enum state" are names.
        """
        kind, word = _split(name)
        tried = []
        for btf in self._all():
            for spelt in (word, _C_WORDS.get(word, word)):
                for id in btf.find(spelt):
                    found = btf.type(id)
                    if found.kind in _TYPES and (kind is None or found.kind in kind):
                        return btf, id
            tried.append(btf)
        raise self._unknown(name, word, tried)

    def _all(self) -> Iterator[Btf]:
        from skep.btf.kernel import kernel_btf

        if self._object is not None:
            yield self._object
        if self._own is not None:
            yield self._own
        try:
            yield kernel_btf()
        except SkepError:
            return

    def _unknown(self, name: str, word: str, tried: list[Btf]) -> NotFoundError:
        from difflib import get_close_matches

        names: set[str] = set()
        for btf in tried[:2]:
            if len(btf.memory) < 1 << 20:
                names |= {btf.type(id).name for id in range(btf.first_id, len(btf))}
        close = get_close_matches(word, sorted(names - {""}), 3, 0.6)
        where = "the object, the map's own types or the kernel's"
        if self._object is None:
            where = "the map's own types or the kernel's"
        hint = f"did you mean {', '.join(close)}?" if close else "--object FILE.o gives more types"
        return NotFoundError(f"no type {name!r} in {where}", hint=hint, name=name, where=where)


def _split(name: str) -> tuple[set[int] | None, str]:
    from skep.btf.types import Kind

    word = " ".join(name.split())
    for prefix, kinds_of in (
        ("struct ", {Kind.STRUCT}),
        ("union ", {Kind.UNION}),
        ("enum ", {Kind.ENUM, Kind.ENUM64}),
    ):
        if word.startswith(prefix):
            return set(map(int, kinds_of)), word.removeprefix(prefix)
    return None, word


_TYPES = frozenset({1, 4, 5, 6, 8, 16, 19})  # what has a name and a size
