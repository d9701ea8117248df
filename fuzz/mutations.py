"""Changes that keep an input nearly valid, so that they get past the first checks.

Random bytes rarely do: most of a BTF blob is numbers that mean something only together. So numbers
are replaced by numbers that are likely to be wrong in an interesting way (other type ids, ends of
ranges, sizes), whole records are repeated, moved and removed, and the headers are put right again.
Each function takes the input, a source of randomness and the largest size allowed.
"""

from __future__ import annotations

from struct import calcsize, pack_into, unpack_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    Mutation = Callable[[bytes, Random, int], bytes]

_BTF_HEADER = "HBBIIIII"
_EDGES = (0, 1, 2, 3, 4, 7, 8, 16, 24, 64, 255, 256, 0x7FFF, 0xFFFF, 0xFFFFFF, 0x1000000,
          0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)  # fmt: skip
_WIDE = (*_EDGES, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
_VLEN_KINDS = (4, 5, 6, 13, 15, 19)
_PER_ITEM = {4: 3, 5: 3, 6: 2, 13: 2, 15: 3, 19: 3}
_FIXED = {1: 1, 3: 3, 14: 1, 17: 1}


def number(random: Random, old: int, wide: int, *, limit: int = 64) -> int:
    """Return a number of *wide* bits in the place of *old*; *limit* is about how many types are."""
    choice = random.randrange(6)
    if choice == 0:
        return old ^ 1 << random.randrange(wide)
    if choice == 1:
        return (old + random.choice((-8, -4, -1, 1, 4, 8))) % (1 << wide)
    if choice == 2:
        return random.choice(_WIDE) % (1 << wide)
    if choice == 3:
        return random.randrange(1 << wide)
    return random.randrange(max(limit, 1))


def btf(data: bytes, random: Random, size: int) -> bytes:
    """Change a BTF blob: words of it, whole records, strings."""
    order = ">" if data[:1] == b"\xeb" else "<"
    head_size = calcsize(order + _BTF_HEADER)
    if len(data) < head_size:
        return data
    head = list(unpack_from(order + _BTF_HEADER, data))
    start, types_at, types_size, strings_at, strings_size = head[3:]
    types = bytearray(data[start + types_at : start + types_at + types_size])
    strings = bytearray(data[start + strings_at : start + strings_at + strings_size])
    if len(types) % 4 or start > len(data):
        return data
    words = list(unpack_from(f"{order}{len(types) // 4}I", types))
    records = _records(words)
    choice = random.randrange(8)
    if choice <= 3 and words:
        for _ in range(random.randrange(1, 4)):
            at = random.randrange(len(words))
            words[at] = number(random, words[at], 32, limit=len(records) + 2)
    elif choice == 4 and records:
        # A word of one record is that of another: names, kinds, targets.
        for _ in range(random.randrange(1, 4)):
            first, other = random.choice(records), random.choice(records)
            at = random.randrange(3)
            words[first[0] + at] = words[other[0] + at]
    elif choice == 5 and records:
        at, end = random.choice(records)
        copies = words[at:end] * random.choice((1, 1, 2, 50))
        where = random.choice(records)[0]
        words[where:where] = copies
    elif choice == 6 and len(records) > 1:
        at, end = random.choice(records)
        if random.randrange(2):
            del words[at:end]
        else:
            _grow(words, at, random)
    elif strings:
        at = random.randrange(len(strings))
        if random.randrange(2):
            strings[at] = random.choice((0, 0, 46, 95, 0xFF, random.randrange(256)))
        else:
            strings[at:at] = random.choice(
                (b"\0", b"a" * 100, b".kconfig\0", b".ksyms\0", b".maps\0", b"values\0")
            )
        if random.randrange(8):
            strings[-1] = 0
    if random.randrange(40) == 0:
        head[random.randrange(8)] ^= 1 << random.randrange(8)
    else:
        head[3:] = [head_size, 0, 4 * len(words), 4 * len(words), len(strings)]
    made = bytearray(head_size + 4 * len(words)) + strings
    try:
        pack_into(order + _BTF_HEADER, made, 0, *head)
    except Exception:  # noqa: BLE001  a header field that has become too large for its place
        return data
    pack_into(f"{order}{len(words)}I", made, head_size, *words)
    return bytes(made[:size])


def _grow(words: list[int], at: int, random: Random) -> None:
    """Give the record at *at* another item, and say so in its vlen."""
    kind = words[at + 1] >> 24 & 0x1F
    if kind in _VLEN_KINDS and words[at + 1] & 0xFFFF < 0xFFF0:
        words[at + 1] += 1
        items = [random.choice(_EDGES) for _ in range(_PER_ITEM[kind])]
        words[at + 3 : at + 3] = items


def _records(words: list[int]) -> list[tuple[int, int]]:
    found = []
    at = 0
    while at + 3 <= len(words):
        kind = words[at + 1] >> 24 & 0x1F
        length = 3 + _FIXED.get(kind, 0) + _PER_ITEM.get(kind, 0) * (words[at + 1] & 0xFFFF)
        if not 0 < kind < 20 or at + length > len(words):
            break
        found.append((at, at + length))
        at += length
    return found


def words32(data: bytes, random: Random, size: int) -> bytes:
    """Change aligned 32-bit words: .BTF.ext."""
    made = bytearray(data[: len(data) & ~3])
    if len(made) < 8:
        return data
    order = ">" if data[:1] == b"\xeb" else "<"
    for _ in range(random.randrange(1, 4)):
        at = 4 * random.randrange(len(made) // 4)
        (old,) = unpack_from(order + "I", made, at)
        pack_into(order + "I", made, at, number(random, old, 32))
    if random.randrange(4) == 0:
        at = 4 * random.randrange(len(made) // 4)
        end = at + 4 * random.randrange(16)
        made[at:at] = made[at:end]
    return bytes(made[:size])


def instructions(data: bytes, random: Random, size: int) -> bytes:
    """Change instructions after the first byte: fields, order, number."""
    count = (len(data) - 1) // 8
    if count <= 0:
        return data + bytes(random.randrange(256) for _ in range(9))
    made = bytearray(data[: 1 + 8 * count])
    choice = random.randrange(5)
    at = 1 + 8 * random.randrange(count)
    if choice == 0:
        made[at] = random.randrange(256)
    elif choice == 1:
        made[at + 1] = random.choice((0, 0x10, 0x20, 0x1A, 0x12, random.randrange(256)))
    elif choice == 2:
        made[at + 2 : at + 4] = (random.choice(_EDGES) & 0xFFFF).to_bytes(2, "little")
    elif choice == 3:
        made[at + 4 : at + 8] = number(random, 0, 32, limit=220).to_bytes(4, "little")
    else:
        other = 1 + 8 * random.randrange(count)
        end = other + 8 * random.randrange(1, 4)
        made[at:at] = made[other:end]
    return bytes(made[:size])


_HEADER, _SECTION, _SYMBOL, _REL = "HHIQQQIHHHHHH", "IIQQQQIIQQ", "IBBHQQ", "QQ"
_INSIDE = {".BTF": btf, ".BTF.ext": words32}


def elf(data: bytes, random: Random, size: int) -> bytes:
    """Change an ELF file: its tables by field, and its sections by what they hold."""
    order = ">" if data[5:6] == b"\x02" else "<"
    if len(data) < 64 or data[:4] != b"\x7fELF":
        return data
    made = bytearray(data)
    head = unpack_from(order + _HEADER, made, 16)
    table, count = head[5], head[11]
    if random.randrange(30) == 0:
        _field(made, 16, order + _HEADER, random)
        return bytes(made)
    if not count or table + 64 * count > len(made):
        return data
    rows = [unpack_from(order + _SECTION, made, table + 64 * i) for i in range(count)]
    choice = random.randrange(12)
    index = random.randrange(count)
    _, kind, flags, _, at, length, *_ = row = rows[index]
    if choice == 0:
        _field(made, table + 64 * index, order + _SECTION, random)
        return bytes(made)
    if choice == 1:
        # One section is where, or of the kind, that another one is.
        field = random.randrange(10)
        changed = list(row)
        changed[field] = random.choice(rows)[field]
        pack_into(order + _SECTION, made, table + 64 * index, *changed)
        return bytes(made)
    if not length or at + length > len(made) or kind == 8:
        return bytes(made)
    body = bytes(made[at : at + length])
    name = _name(made, rows, head[12], row[0])
    inside = _INSIDE.get(name)
    if inside is not None:
        return _replaced(made, order, table, index, inside(body, random, size))
    if kind == 2 and length >= 24:
        _field(made, at + 24 * random.randrange(length // 24), order + _SYMBOL, random)
    elif kind == 9 and length >= 16:
        _field(made, at + 16 * random.randrange(length // 16), order + _REL, random)
    elif flags & 4:
        changed_code = instructions(b"\0" + body, random, size)[1:]
        return _replaced(made, order, table, index, changed_code)
    elif random.randrange(2):
        made[at + random.randrange(length)] = random.randrange(256)
    return bytes(made)


def _field(made: bytearray, at: int, form: str, random: Random) -> None:
    """Replace one field of the record of *form* at byte *at*."""
    fields = list(unpack_from(form, made, at))
    which = random.randrange(len(fields))
    wide = 8 * calcsize("=" + form[1 + which])
    fields[which] = number(random, fields[which], wide)
    pack_into(form, made, at, *fields)


def _name(made: bytearray, rows: list[tuple[int, ...]], names: int, at: int) -> str:
    if names >= len(rows):
        return ""
    start = rows[names][4] + at
    end = made.find(0, start)
    return bytes(made[start:end]).decode("ascii", "replace") if end > start else ""


def _replaced(made: bytearray, order: str, table: int, index: int, body: bytes) -> bytes:
    """Put *body* in the place of a section: over it if it fits, else at the end of the file."""
    fields = list(unpack_from(order + _SECTION, made, table + 64 * index))
    if len(body) > fields[5]:
        made += bytes(-len(made) % 8)
        fields[4] = len(made)
        made += body
    else:
        made[fields[4] : fields[4] + len(body)] = body
    fields[5] = len(body)
    pack_into(order + _SECTION, made, table + 64 * index, *fields)
    return bytes(made)


MUTATIONS: dict[str, Mutation] = {
    "elf": elf,
    "btf": btf,
    "types": btf,
    "btf_ext": words32,
    "code": instructions,
}
