"""Layouts as text: C with offsets in comments, a summary as pahole's, two side by side."""

from __future__ import annotations

from skep.btf.layout import Layout, Row, amount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

_WIDEST = 56  # columns of C before the comments; longer declarations push theirs out
_INDENT = 4
_MOST = 512  # rows side by side: pairing them takes the square of the time


def lines(layout: Layout, cache_line: int) -> list[str]:
    """Return *layout* as lines of C; `Layout.lines` says how they read."""
    body = list(_body(layout, cache_line))
    first = [f"{layout.type_name} {{"] if _is_composite(layout) else []
    texts = [text for text, _, _ in body if len(text) <= _WIDEST]
    width = max([len(text) for text in texts] + [len(first[0]) if first else 0])
    columns = [(offset, size) for _, offset, size in body if offset]
    wide = max([6, *(len(offset) for offset, _ in columns)])
    last = max([4, *(len(size) for _, size in columns)])

    def line(text: str, offset: str, size: str) -> str:
        return f"{text:{width}}  /* {offset:>{wide}} {size:>{last}} */" if offset else text

    out = [line(first[0], "offset", "size")] if first else []
    out += [line(*each) for each in body]
    if first:
        out.append("};" if not layout.packed else "} __attribute__((packed));")
    return out + [f"/* {text} */" for text in _sentences(layout, cache_line)]


def _is_composite(layout: Layout) -> bool:
    rows = layout.rows
    return not (len(rows) and not rows[0].name and rows[0].type_name == layout.type_name)


def _body(layout: Layout, cache_line: int) -> Iterator[tuple[str, str, str]]:
    """Yield text, offset and size of every line between the braces."""
    base = 1 if _is_composite(layout) else 0
    open_: list[Row] = []
    line = 0

    def close(depth: int) -> Iterator[tuple[str, str, str]]:
        while open_ and open_[-1].depth >= depth:
            row = open_.pop()
            tail = _tail(row)
            yield f"{_pad(base + row.depth)}}}{tail};", row.offset, row.size

    for row in layout.rows:
        yield from close(row.depth)
        here = row.bit_offset // (8 * cache_line)
        if here > line:
            line = here
            ago = row.bit_offset - 8 * cache_line * line
            note = f", {amount(ago)} ago" if ago else ""
            start = cache_line * line
            yield (
                f"{_pad(base + row.depth)}/* -- cache line {line} (at {start}){note} -- */",
                "",
                "",
            )
        if row.kind != "member":
            yield f"{_pad(base + row.depth)}/* {row.kind} */", row.offset, row.size
        elif row.head:
            open_.append(row)
            yield f"{_pad(base + row.depth)}{row.head} {{", "", ""
        else:
            yield f"{_pad(base + row.depth)}{row.text};", row.offset, row.size
    yield from close(0)


def _tail(row: Row) -> str:
    """Return what follows the brace: a name and the lengths of arrays."""
    _, bracket, lengths = row.type_name.partition("[")
    tail = f"{row.name}{bracket}{lengths}"
    return f" {tail}" if tail else ""


def _pad(depth: int) -> str:
    return " " * (_INDENT * depth)


def summary(layout: Layout) -> dict[str, int]:
    """Return the counts of `Layout.summary`.

    Members are those of the type itself; holes those between them, the ones in nested types are
    `inner_gaps`. Bits that share a byte with a bit-field are `bit_holes`.
    """
    own = [row for row in layout.rows if row.depth == 0]
    members = [row for row in own if row.kind == "member"]
    holes = [row for row in own if row.kind == "hole"]
    nested = [row for row in layout.rows if row.depth and row.kind != "member"]
    whole = [row for row in holes if row.whole]
    bits = [row for row in holes if not row.whole]
    return {
        "size": layout.size,
        "alignment": layout.alignment,
        "members": len(members),
        "member_bits": sum(row.bit_size for row in members),
        "bit_field_bits": sum(row.bit_size for row in members if row.bit_field),
        "holes": len(whole),
        "hole_bytes": sum(row.bit_size for row in whole) // 8,
        "bit_holes": len(bits),
        "bit_hole_bits": sum(row.bit_size for row in bits),
        "padding_bits": sum(row.bit_size for row in own if row.kind == "padding"),
        "inner_gaps": len(nested),
        "forced_alignments": len(layout.forced),
        "cache_lines": -(-layout.size // CACHE_LINE_BYTES),
    }


CACHE_LINE_BYTES = 64


def _sentences(layout: Layout, cache_line: int) -> Iterator[str]:
    found = summary(layout)
    size = layout.size
    count = -(-size // cache_line)
    text = f"size {size}, alignment {layout.alignment}"
    text += f", {_counted(count, 'cache line')}"
    if _is_composite(layout):
        text += f", {_counted(found['members'], 'member')}"
    if layout.arch:
        text += f", on {layout.arch}"
    yield text
    parts = []
    if found["holes"]:
        parts.append(
            f"{_counted(found['holes'], 'hole')} of {_counted(found['hole_bytes'], 'byte')}"
        )
    if found["bit_holes"]:
        bits = _counted(found["bit_hole_bits"], "bit")
        parts.append(f"{_counted(found['bit_holes'], 'bit hole')} of {bits}")
    if found["padding_bits"]:
        parts.append(f"padding of {amount(found['padding_bits'])}")
    if found["inner_gaps"]:
        parts.append(f"{_counted(found['inner_gaps'], 'gap')} inside members")
    if parts:
        yield f"members take {amount(found['member_bits'])}; {', '.join(parts)}"
    if found["bit_field_bits"]:
        yield f"bit-fields take {_counted(found['bit_field_bits'], 'bit')}"
    if layout.forced:
        yield f"moved by an attribute: {', '.join(name or '(anonymous)' for name in layout.forced)}"
    if size > cache_line and size % cache_line:
        yield f"the last cache line has {_counted(size % cache_line, 'byte')}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def side_by_side(
    left: Layout, right: Layout, titles: tuple[str, str], differ: Collection[str] = ()
) -> str:
    """Return `skep.btf.layout.side_by_side`'s text."""
    pairs = list(_aligned(left.rows[:_MOST], right.rows[:_MOST]))
    texts = [(_cell(one), _cell(other)) for one, other in pairs]
    heads = [
        (titles[0], titles[1]),
        (f"{left.type_name}, {_counted(left.size, 'byte')}",
         f"{right.type_name}, {_counted(right.size, 'byte')}"),
        ("offset size", "offset size"),
    ]  # fmt: skip
    width = max(len(one) for one, _ in [*heads, *texts])
    out = [f"  {one:{width}}   {other}".rstrip() for one, other in heads]
    around: list[str] = []
    for (one, other), (a, b) in zip(texts, pairs, strict=True):
        same = a is not None and b is not None and _key(a) == _key(b)
        row = a or b
        if row is not None and row.kind == "member":
            around[row.depth :] = [row.name]
            same = same and ".".join(filter(None, around)) not in differ
        out.append(f"{' ' if same else '!'} {one:{width}} {' ' if same else '|'} {other}".rstrip())
    more = max(len(left.rows), len(right.rows)) - _MOST
    if more > 0:
        out.append(f"  ... and {more} more rows")
    return "\n".join(out)


def _key(row: Row) -> tuple[object, ...]:
    return row.name, row.kind, row.depth, row.bit_offset, row.bit_size, row.bit_field, row.number


def _cell(row: Row | None) -> str:
    if row is None:
        return ""
    text = row.text if row.kind == "member" else f"({row.kind})"
    return f"{row.offset:>6} {row.size:>4} {'  ' * row.depth}{text}"


def _aligned(left: Sequence[Row], right: Sequence[Row]) -> Iterator[tuple[Row | None, Row | None]]:
    """Yield pairs of rows: members of one name beside each other, the rest alone."""
    from difflib import SequenceMatcher

    names = [[(row.depth, row.kind, row.name) for row in rows] for rows in (left, right)]
    if names[0] == names[1]:
        yield from zip(left, right, strict=True)
        return
    matcher = SequenceMatcher(None, names[0], names[1], autojunk=False)
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag == "equal":
            yield from zip(left[a:b], right[c:d], strict=True)
            continue
        for index in range(max(b - a, d - c)):
            yield (
                left[a + index] if a + index < b else None,
                right[c + index] if c + index < d else None,
            )
