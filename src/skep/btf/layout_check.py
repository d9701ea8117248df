"""What can go wrong with a layout: holes in keys, types that 32 bits lay out otherwise, packing.

| rule | severity | what |
|---|---|---|
| `hole-in-key` | error | bytes of a key belong to no member, but the kernel compares them |
| `word-size` | error | a 32-bit program lays the type out otherwise: pointers, `long`, `u64` |
| `union-in-key` | warning | alternatives of different sizes: the rest of the key has to be zeroed |
| `packed` | warning | members at unaligned offsets: user space has to pack its struct too |
| `hole` | note | a value or record has holes, which a packed description of it does not have |
| `bit-fields` | note | which bits they are depends on the machine's byte order |

skep itself is bothered by none of them: it reads BTF and writes padding as zero. Other programs
that read the same map are, and so is a BPF program that does not zero a key before filling it.
"""

from __future__ import annotations

from itertools import islice

from skep.btf import types as t
from skep.btf.abi import abi
from skep.btf.btf import MAX_DEPTH
from skep.btf.layout import Layout, amount, layout
from skep.btf.placement import Placer
from skep.errors import BtfError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, Literal

    from skep.btf.btf import Btf
    from skep.btf.layout import Row

    Role = Literal["type", "key", "value", "record"]
    Severity = Literal["error", "warning", "note"]

# Of 32-bit architectures these two differ: one aligns 64-bit integers to 4 bytes, one to 8.
NARROW = ("i386", "arm")
_SHOWN = 4  # members in one message
_KERNELS = ("kptr", "percpu_kptr", "uptr", "rcu")  # tags of pointers that user space never sees


class Finding:
    """One thing about one type.

    `severity` is "error", "warning" or "note"; `rule` names it; `of` says what the type is for
    ("key of map 'flows'"). `members` are the paths of those concerned, `fix` is what to do.
    """

    __slots__ = ("fix", "members", "message", "of", "rule", "severity", "type_name")

    def __init__(
        self,
        severity: Severity,
        rule: str,
        type_name: str,
        message: str,
        *,
        members: Sequence[str],
        fix: str,
        of: str = "",
    ) -> None:
        self.severity: Severity = severity
        self.rule = rule
        self.type_name = type_name
        self.message = message
        self.members = tuple(members)
        self.fix = fix
        self.of = of

    def asdict(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        found = {name: getattr(self, name) for name in Finding.__slots__}
        return {**found, "members": list(self.members)}

    def __str__(self) -> str:
        subject = f"{self.of}: {self.type_name}" if self.of else self.type_name
        return f"{self.severity}: {subject} {self.message} [{self.rule}]"

    def __repr__(self) -> str:
        return f"<Finding {self}>"


def check(btf: Btf, type_id: int, *, role: Role = "type", of: str = "") -> list[Finding]:
    """Return what there is to say about type *type_id*, errors first.

    *role* is what it is used for: "key" means that all its bytes are compared. *of* goes into the
    findings. Raises `BtfError` for a type without a size.
    """
    found = layout(btf, type_id)
    name = found.type_name
    findings = [
        *_holes(found, role),
        *_word_size(btf, type_id, found),
        *_packed(btf, type_id, name),
        *_bit_fields(found),
    ]
    for each in findings:
        each.of = of
    order = ("error", "warning", "note")
    return sorted(findings, key=lambda each: order.index(each.severity))


def paths(rows: Sequence[Row]) -> Iterator[tuple[str, bool, Row]]:
    """Yield each row with its path ("flow.ports", "list[0].x") and whether a union is around it."""
    open_: list[Row] = []
    for row in rows:
        while open_ and open_[-1].depth >= row.depth:
            open_.pop()
        names = [each.name + "[0]" * each.type_name.count("[") for each in open_ if each.name]
        united = any(each.head.startswith("union") for each in open_)
        yield ".".join([*names, row.name] if row.name else names), united, row
        if row.head:
            open_.append(row)


def _holes(found: Layout, role: Role) -> Iterator[Finding]:
    gaps = [(path, united, row) for path, united, row in paths(found.rows) if row.kind != "member"]
    sure = [(path, row) for path, united, row in gaps if not united]
    places = [
        f"{amount(row.bit_size)} at {row.offset}{f' in {path}' if path else ''}"
        for path, row in sure
    ]
    owners = [path for path, _ in sure]
    if sure and role == "key":
        yield Finding(
            "error",
            "hole-in-key",
            found.type_name,
            f"has holes, and keys are compared byte by byte: {_listed(places)}",
            members=owners,
            fix="name them (__u8 pad[3]) or put the largest members first; until then, have every"
            " program zero the whole key before it fills it: struct initialisers leave padding"
            " undefined, __builtin_memset() does not",
        )
    elif sure:
        yield Finding(
            "note",
            "hole",
            found.type_name,
            f"has holes: {_listed(places)}",
            members=owners,
            fix="a reader without BTF has to have them too: struct.unpack() with explicit 'x',"
            " ctypes without _pack_",
        )
    if role == "key":
        yield from _unions(found, [(path, row) for path, united, row in gaps if united])


def _unions(found: Layout, gaps: Sequence[tuple[str, Row]]) -> Iterator[Finding]:
    """Say which unions of a key have bytes that depend on the alternative that was written."""
    places = []
    for at, (path, _, row) in enumerate(paths(found.rows)):
        sizes = _alternatives(found, at + 1, row) if row.head.startswith("union") else []
        if len(set(sizes)) > 1:
            where = f" of {path}" if path else ""
            text = f"alternatives{where} have {amount(min(sizes))} to {amount(max(sizes))}"
            places.append((path, text))
    places += [(path, f"{amount(row.bit_size)} at {row.offset} are a hole") for path, row in gaps]
    if places:
        yield Finding(
            "warning",
            "union-in-key",
            found.type_name,
            f"has a union: {_listed([text for _, text in places])}",
            members=[path for path, _ in places],
            fix="zero the whole key before a part of it is written: what that does not cover is"
            " compared too",
        )


def _alternatives(found: Layout, start: int, union: Row) -> list[int]:
    """Return the sizes in bits of the alternatives of *union*, which are from row *start* on."""
    sizes = []
    for row in islice(found.rows, start, None):
        if row.depth <= union.depth:
            break
        if row.depth == union.depth + 1 and row.kind == "member":
            sizes.append(row.bit_size)
    return sizes


def _word_size(btf: Btf, type_id: int, here: Layout) -> Iterator[Finding]:
    wide = list(paths(here.rows))
    causes: list[str] = []
    moved: list[str] = []
    members: list[str] = []
    differing = []
    for arch in NARROW:
        other = layout(btf, type_id, arch)
        narrow = [row for row in other.rows if row.kind == "member"]
        pairs = zip([each for each in wide if each[2].kind == "member"], narrow, strict=True)
        changed = [(path, a, b) for (path, _, a), b in pairs if _place(a) != _place(b)]
        if not changed and here.size == other.size:
            continue
        differing.append((arch, other.size))
        for path, a, b in changed:
            if a.head or path in members:
                continue
            members.append(path)
            if a.bit_size != b.bit_size:
                causes.append(f"member {path} has {a.size} bytes, {b.size} on {arch}")
            else:
                moved.append(f"member {path} is at {a.offset}, on {arch} at {b.offset}")
    if not differing:
        return
    sizes = " and ".join(f"{size} on {arch}" for arch, size in differing)
    parts = _listed(causes + moved)
    kernels = causes and not _seen_pointers(btf, type_id)
    if causes:
        fix = "use __u64 instead of long and pointers"
        fix += ", and name the padding behind them" if moved else ""
    else:
        fix = "use __aligned_u64 (or __attribute__((aligned(8)))), or name the padding before it"
    yield Finding(
        "note" if kernels else "error",
        "word-size",
        here.type_name,
        f"has {here.size} bytes on 64 bits, {sizes}" + (f": {parts}" if parts else ""),
        members=members,
        fix=fix,
    )


def _place(row: Row) -> tuple[int, int]:
    return row.bit_offset, row.bit_size


def _seen_pointers(btf: Btf, type_id: int) -> bool:
    """Tell whether anything but pointers that only the kernel reads depends on the word size."""
    placer = Placer(btf, abi("arm"))
    for _, member_type in _leaves(btf, type_id, MAX_DEPTH):
        found = btf.strip(member_type)
        if placer.size_align(member_type)[0] == btf.size_of(member_type):
            continue
        if not isinstance(found, t.Pointer):
            return True
        target = btf.type(found.type_id)
        tags = []
        btf.strip(target.id)  # raises when they go round in a circle
        while isinstance(target, t.Modifier):
            tags.append(target.name if isinstance(target, t.TypeTag) else "")
            target = btf.type(target.type_id)
        if not any(tag.startswith(_KERNELS) for tag in tags if tag):
            return True
    return False


def _leaves(btf: Btf, type_id: int, left: int) -> Iterator[tuple[str, int]]:
    """Yield name and type of everything in a type that is no struct, union or array."""
    if not left:
        raise BtfError(f"BTF of {btf.name}: type {type_id} is nested too deep")
    found = btf.strip(type_id)
    if isinstance(found, t.Array):
        if found.length:  # an empty one has no members, and is not in the layout
            yield from _leaves(btf, found.type_id, left - 1)
    elif isinstance(found, t.Composite):
        for member in found.members:
            yield from _leaves(btf, member.type_id, left - 1)
    else:
        yield "", type_id


def _packed(btf: Btf, type_id: int, name: str) -> Iterator[Finding]:
    places: list[str] = []
    members: list[str] = []
    for path, found in _composites(btf, type_id, "", MAX_DEPTH):
        if not btf.is_packed(found):
            continue
        natural = 0
        for member in found.members:
            own = btf.align_of(member.type_id)
            where = f"{path}.{member.name}" if path else member.name
            if member.bit_size:
                natural = max(natural, member.bit_offset + member.bit_size)
                continue
            natural = -(-natural // (8 * own)) * 8 * own
            if member.bit_offset % (8 * own):
                at = member.bit_offset // 8
                places.append(f"member {where} is at {at}, unpacked at {natural // 8}")
                members.append(where)
            natural += 8 * btf.size_of(member.type_id)
    if members:
        yield Finding(
            "warning",
            "packed",
            name,
            f"is packed: {_listed(places)}",
            members=members,
            fix="declare it packed in user space as well (ctypes: _pack_ = 1, NumPy: align=False),"
            " or put the largest members first, which needs no packing; atomic operations on"
            " unaligned members fail",
        )


def _composites(btf: Btf, type_id: int, path: str, left: int) -> Iterator[tuple[str, t.Composite]]:
    found = btf.strip(type_id)
    while isinstance(found, t.Array):
        if not found.length:
            return  # it has no members, and is not in the layout
        found = btf.strip(found.type_id)
        path += "[0]" if path else ""
    if not isinstance(found, t.Composite) or not left:
        return
    yield path, found
    for member in found.members:
        inner = f"{path}.{member.name}" if path and member.name else path or member.name
        yield from _composites(btf, member.type_id, inner, left - 1)


def _bit_fields(found: Layout) -> Iterator[Finding]:
    names = [path for path, _, row in paths(found.rows) if row.bit_field]
    if names:
        yield Finding(
            "note",
            "bit-fields",
            found.type_name,
            f"has bit-fields: {_listed(names)}",
            members=names,
            fix="an integer and masks are the same bits on machines of either byte order",
        )


def _listed(parts: Sequence[str]) -> str:
    shown = list(parts[:_SHOWN])
    if len(parts) > _SHOWN:
        shown.append(f"{len(parts) - _SHOWN} more")
    return ", ".join(shown)
