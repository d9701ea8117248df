"""Lengths and branch targets of x86-64 instructions.

A length decoder: it knows how many bytes an instruction takes and where a relative branch goes,
not what the instruction does. Whatever it is not sure of (undefined in 64-bit mode, AMD's XOP and
3DNow!, Intel's APX) it refuses, so a caller can rely on what it says.

Source: Intel SDM volume 2, chapter 2 (formats) and appendix A (opcode maps).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# What follows an opcode: nothing, ModRM and what it asks for, an immediate. A map is a table of
# 256 such numbers.
_BAD = 0
_PLAIN = 1  # nothing
_MODRM = 2  # added to the kinds below: ModRM comes before the immediate
_BYTE = 4  # one byte
_WORD = 8  # two bytes
_FULL = 16  # four bytes; two with prefix 66
_BRANCH8 = 32  # one byte, relative
_BRANCH32 = 64  # four bytes, relative
_SPECIAL = 128  # decided in decode()


def _table(*groups: tuple[int, Iterable[int]]) -> bytes:
    table = bytearray(256)
    for kind, opcodes in groups:
        for opcode in opcodes:
            table[opcode] = kind
    return bytes(table)


def _span(*ends: int) -> list[int]:
    """Make the numbers from the first to the second, the third to the fourth, ..., inclusive."""
    return [
        number
        for first, last in zip(ends[::2], ends[1::2], strict=True)
        for number in range(first, last + 1)
    ]


_ARITHMETIC = range(0x00, 0x40, 8)

_ONE_BYTE = _table(
    (_MODRM, [base + form for base in _ARITHMETIC for form in range(4)]),
    (_BYTE, [base + 4 for base in _ARITHMETIC]),
    (_FULL, [base + 5 for base in _ARITHMETIC]),
    (_PLAIN, _span(0x50, 0x5F, 0x6C, 0x6F, 0x90, 0x99, 0x9B, 0x9F, 0xA4, 0xA7, 0xAA, 0xAF)),
    (_PLAIN, [0xC3, 0xC9, 0xCB, 0xCC, 0xCF, 0xD7, *_span(0xEC, 0xEF), 0xF1, 0xF4, 0xF5]),
    (_PLAIN, _span(0xF8, 0xFD)),
    (_MODRM, [0x63, *_span(0x84, 0x8E), *_span(0xD0, 0xD3), *_span(0xD8, 0xDF), 0xFE, 0xFF]),
    (_MODRM | _FULL, [0x69, 0x81, 0xC7]),
    (_MODRM | _BYTE, [0x6B, 0x80, 0x83, 0xC0, 0xC1, 0xC6]),
    (_FULL, [0x68, 0xA9]),
    (_BYTE, [0x6A, 0xA8, *_span(0xB0, 0xB7), 0xCD, *_span(0xE4, 0xE7)]),
    (_WORD, [0xC2, 0xCA]),
    (_BRANCH8, [*_span(0x70, 0x7F), *_span(0xE0, 0xE3), 0xEB]),
    (_BRANCH32, [0xE8, 0xE9]),
    # mov with an address or a number of eight bytes, pop, enter, test or not
    (_SPECIAL, [*_span(0xA0, 0xA3), *_span(0xB8, 0xBF), 0x8F, 0xC8, 0xF6, 0xF7]),
)

_TWO_BYTE = _table(
    (_PLAIN, [0x05, 0x06, 0x07, 0x08, 0x09, 0x0B, *_span(0x30, 0x35), 0x37, 0x77]),
    (_PLAIN, [*_span(0xA0, 0xA2), *_span(0xA8, 0xAA), *_span(0xC8, 0xCF)]),
    (_MODRM, [*_span(0x00, 0x03), 0x0D, *_span(0x10, 0x23, 0x28, 0x2F, 0x40, 0x6F, 0x74, 0x76)]),
    (_MODRM, [*_span(0x78, 0x7F, 0x90, 0x9F), 0xA3, 0xA5, 0xAB, 0xAD, 0xAE, 0xAF]),
    (_MODRM, [*_span(0xB0, 0xB9, 0xBB, 0xC1), 0xC3, 0xC7, *_span(0xD0, 0xFF)]),
    (_MODRM | _BYTE, [*_span(0x70, 0x73), 0xA4, 0xAC, 0xBA, 0xC2, 0xC4, 0xC5, 0xC6]),
    (_BRANCH32, _span(0x80, 0x8F)),
)

_THREE_BYTE_38 = bytes([_MODRM]) * 256
_THREE_BYTE_3A = bytes([_MODRM | _BYTE]) * 256

# VEX and EVEX use the same maps, without the branches and with other plain ones (vzeroupper).
_VECTOR_0F = _table(
    (_MODRM, _span(0x10, 0x17, 0x28, 0x2F, 0x41, 0x47, 0x4A, 0x4B, 0x50, 0x6F, 0x74, 0x76)),
    (_MODRM, [*_span(0x78, 0x7F, 0x90, 0x93, 0x98, 0x99), 0xAE, *_span(0xD0, 0xFE)]),
    (_MODRM | _BYTE, [*_span(0x70, 0x73), 0xC2, 0xC4, 0xC5, 0xC6]),
    (_PLAIN, [0x77]),
)
_VECTOR = {
    1: _VECTOR_0F,
    2: _THREE_BYTE_38,
    3: _THREE_BYTE_3A,
    5: _THREE_BYTE_38,
    6: _THREE_BYTE_38,
}

_PREFIXES = frozenset(b"\x66\x67\xf0\xf2\xf3\x2e\x36\x3e\x26\x64\x65")

LONGEST = 15


class Instruction:
    """One instruction: `length` in bytes, `opcode`, and where a relative branch goes (`target`).

    `opcode` is the last opcode byte, plus 0x0F00, 0x3800 or 0x3A00 for the longer maps; plus
    0x10000 for VEX and EVEX forms. `modrm` is -1 without one; `rex` is 0 without one. `target` is
    an offset into the code, or None. `prefixes` are the legacy ones, as bytes.
    """

    __slots__ = ("length", "modrm", "opcode", "prefixes", "rex", "target")

    def __init__(
        self, length: int, opcode: int, modrm: int, rex: int, prefixes: bytes, target: int | None
    ) -> None:
        self.length = length
        self.opcode = opcode
        self.modrm = modrm
        self.rex = rex
        self.prefixes = prefixes
        self.target = target


def decode(code: bytes, start: int = 0) -> Instruction | None:
    """Decode the instruction at offset *start* of *code*; None when it is unknown or cut off."""
    try:
        found = _decode(code, start)
    except IndexError:
        return None
    if found is None or start + found.length > len(code) or found.length > LONGEST:
        return None
    return found


def _decode(code: bytes, start: int) -> Instruction | None:
    at = start
    while code[at] in _PREFIXES:
        at += 1
    prefixes = code[start:at]
    rex = 0
    if code[at] & 0xF0 == 0x40:
        rex = code[at]
        at += 1
    first = code[at]
    vector = False
    base = 0
    if first in (0xC4, 0xC5, 0x62):
        if rex or any(prefix in prefixes for prefix in b"\x66\xf0\xf2\xf3"):
            return None
        vector = True
        number = 1
        if first == 0xC4:
            number = code[at + 1] & 0x1F
            at += 3
        elif first == 0xC5:
            at += 2
        else:
            number = code[at + 1] & 7
            # A set bit here and a clear one there: EVEX as it was before APX gave them a meaning.
            if code[at + 1] & 8 or not code[at + 2] & 4:
                return None
            at += 4
        table = _VECTOR.get(number)
        if table is None or (first != 0x62 and number > 3):
            return None
        base = {1: 0x0F00, 2: 0x3800, 3: 0x3A00}.get(number, number << 8)
    elif first == 0x0F:
        at += 1
        if code[at] == 0x38:
            table, base = _THREE_BYTE_38, 0x3800
            at += 1
        elif code[at] == 0x3A:
            table, base = _THREE_BYTE_3A, 0x3A00
            at += 1
        else:
            table, base = _TWO_BYTE, 0x0F00
            if code[at] == 0x78 and (0x66 in prefixes or 0xF2 in prefixes):
                return None  # extrq and insertq of SSE4a take two bytes more
    else:
        table = _ONE_BYTE
    opcode = code[at]
    at += 1
    kind = table[opcode]
    modrm = -1
    narrow = 0x66 in prefixes and not rex & 8
    if kind == _SPECIAL:
        if opcode in (0xF6, 0xF7):  # test has an immediate, not/neg/mul/div have none
            kind = _MODRM
            if code[at] & 0x38 <= 8:
                kind |= _BYTE if opcode == 0xF6 else _FULL
        elif opcode == 0x8F:
            if code[at] & 0x38:
                return None  # XOP
            kind = _MODRM
        elif opcode == 0xC8:
            return Instruction(at + 3 - start, opcode, -1, rex, prefixes, None)
        elif opcode >= 0xB8:
            size = 8 if rex & 8 else 2 if narrow else 4
            return Instruction(at + size - start, opcode, -1, rex, prefixes, None)
        else:
            size = 4 if 0x67 in prefixes else 8
            return Instruction(at + size - start, opcode, -1, rex, prefixes, None)
    if kind == _BAD:
        return None
    if kind & _MODRM:
        modrm = code[at]
        at += _modrm_length(code, at)
    target = None
    if kind & _BYTE:
        at += 1
    elif kind & _FULL:
        at += 2 if narrow else 4
    elif kind & _WORD:
        at += 2
    elif kind & (_BRANCH8 | _BRANCH32):
        if narrow:
            return None  # two bytes on AMD, four on Intel
        size = 1 if kind & _BRANCH8 else 4
        at += size
        target = at + int.from_bytes(code[at - size : at], "little", signed=True)
    if base == 0 and opcode == 0xC7 and modrm == 0xF8:
        target = at + int.from_bytes(code[at - 4 : at], "little", signed=True)  # xbegin
    return Instruction(at - start, base | opcode | vector << 16, modrm, rex, prefixes, target)


def _modrm_length(code: bytes, at: int) -> int:
    """Count the bytes of ModRM, SIB and displacement."""
    modrm = code[at]
    mode, low = modrm >> 6, modrm & 7
    if mode == 3:
        return 1
    length = 1
    if low == 4:
        length = 2
        if mode == 0 and code[at + 1] & 7 == 5:
            return 6
    elif mode == 0 and low == 5:
        return 5
    return length + (0, 1, 4)[mode]
