"""The part of the diagnosis that compares types and shapes; it reads no entry."""

from __future__ import annotations

from skep.btf.layout import layout, side_by_side
from skep.errors import SkepError
from skep.maps import kinds
from skep.maps.diagnose import Finding
from skep.maps.system.leaves import Leaf, leaves, other

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from skep.btf.btf import Btf
    from skep.btf.layout import Layout
    from skep.maps.spec import MapSpec
    from skep.maps.system.sides import Side, View

    Typed = tuple[Btf, int]


def differences(view: View, expected: MapSpec) -> Iterator[Finding]:
    """Say of every difference between a live map and the *expected* one of an object."""
    from skep.maps.compare import shape_differences
    from skep.maps.spec import kernel_name

    live = view.map.spec
    name = kernel_name(expected.name)
    wrong = [("name", name, live.name)] if name != live.name else []
    wrong += shape_differences(expected, view.map.info)
    other = {what for what, _, _ in wrong}
    if "name" in other:
        text = (
            f"id {view.map.id} is {live.name!r} ({kinds.type_name(live.type)}, {live.key_size} and"
            f" {live.value_size} bytes), not {expected.name!r} ({kinds.type_name(expected.type)},"
            f" {expected.key_size} and {expected.value_size} bytes)"
        )
        yield Finding("reused", text, expected=expected.name, given=live.name, id=view.map.id)
    if ("type" in other) and (live.type in kinds.PER_CPU) != (expected.type in kinds.PER_CPU):
        one, each = "one value for a key", "a value for each CPU"
        live_words, told = (each, one) if live.type in kinds.PER_CPU else (one, each)
        yield Finding("per-cpu", f"the map has {live_words}, the object expects {told}")
    for what, there, here in wrong:
        given = here if here not in ("", None) else "none"
        text = f"its {what} is {given}, the object's map {expected.name!r} has {there or 'none'}"
        hint, lines = _sides(view, what, expected)
        yield Finding("object", text, hint=hint, lines=lines, what=what, expected=there, given=here)
    for side, type_id in ((view.key, expected.key_type_id), (view.value, expected.value_type_id)):
        if side is None or side.told or not side.typed:
            continue
        if expected.btf is not None and type_id:
            size = expected.key_size if side.role == "key" else expected.value_size
            if size == side.size:  # sizes are told above
                yield from compare(side, expected.btf, type_id, "the object")


def _sides(view: View, what: str, expected: MapSpec) -> tuple[str, str]:
    """Return a hint and both layouts where the size of keys or values differs."""
    side, type_id = None, 0
    if what == "key size":
        side, type_id = view.key, expected.key_type_id
    elif what == "value size":
        side, type_id = view.value, expected.value_type_id
    if side is None or side.btf is None or expected.btf is None or not type_id:
        return "", ""
    own, there = layout(side.btf, side.type_id), layout(expected.btf, type_id)
    titles = ("the map's", "the object's")
    return _packed(own, there, titles), side_by_side(own, there, titles=titles)


def _packed(left: Layout, right: Layout, titles: tuple[str, str]) -> str:
    """Return what to do where one of two layouts is packed; "" where both or none are."""
    if left.packed == right.packed:
        return ""
    packed, natural = titles if left.packed else titles[::-1]
    return f"{packed} is packed and {natural} is not: declare both packed, or none"


def of_side(view: View, side: Side, told: Typed | None) -> Iterator[Finding]:
    """Compare the keys or values with the type that somebody would read them with."""
    if told is not None:
        btf, type_id = told
        given = layout(btf, type_id)
        if given.size != side.size:
            yield _size(view, side, btf, type_id)
        elif side.typed:
            yield from compare(side, btf, type_id, "the type given")
    typed = told if told is not None and not side.typed else None
    if side.typed and side.btf is not None:
        typed = side.btf, side.type_id
    if typed is not None:
        yield from _portable(side.role, *typed)


def _size(view: View, side: Side, btf: Btf, type_id: int) -> Finding:
    given = layout(btf, type_id)
    lines = hint = ""
    what = f"{side.size} bytes"
    if side.btf is not None:
        own = layout(side.btf, side.type_id)
        what = f"{own.type_name}, {side.size} bytes"
        titles = ("the map's", "the type given")
        lines = side_by_side(own, given, titles=titles)
        hint = _packed(own, given, titles)
    if view.cpus and side.role == "value" and given.size == view.value_bytes:
        hint = (
            f"the type is as large as all {view.cpus} CPUs' values together: give the type of one"
        )
    return Finding(
        "size", f"its {side.role}s are {what}, and {given.type_name} has {given.size}",
        hint=hint, lines=lines, role=side.role, expected=side.size, given=given.size,
    )  # fmt: skip


def compare(side: Side, btf: Btf, type_id: int, whose: str) -> Iterator[Finding]:
    """Compare the map's own type with another of the same size, member by member."""
    assert side.btf is not None
    own = {leaf.path: leaf for leaf in leaves(side.btf, side.type_id)}
    given = {leaf.path: leaf for leaf in leaves(btf, type_id)}
    wrong: list[str] = []
    marked: set[str] = set()
    orders: list[Leaf] = []
    for path, here in own.items():
        there = given.get(path)
        name = path or "it"
        if there is None:
            wrong.append(f"{name} is missing in {whose}")
        elif there.at != here.at:
            wrong.append(f"{name} is at byte {_at(here)}, in {whose} at byte {_at(there)}")
        elif there.bits != here.bits:
            wrong.append(f"{name} has {_width(here)}, in {whose} {_width(there)}")
        elif there.kind != here.kind and {here.kind, there.kind} != {"integer", "pointer"}:
            marked.add(path)
            wrong.append(f"{name} is {_article(here.kind)}, in {whose} {_article(there.kind)}")
        elif there.order != here.order:
            marked.add(path)
            orders.append(here)
        elif there.signed != here.signed:
            marked.add(path)
            signs = ("unsigned", "signed")
            wrong.append(f"{name} is {signs[here.signed]}, in {whose} {signs[there.signed]}")
    wrong += [f"{path} is only in {whose}" for path in given if path not in own]
    for leaf in orders:
        text = f"{side.role} {leaf.path}: the map's type says {leaf.order}-endian, {whose}"
        text = f"{text.replace('  ', ' ')} {other(leaf.order)}-endian"
        yield Finding("byte-order", text.replace(" :", ":"), role=side.role, field=leaf.path)
    if wrong:
        left, right = layout(side.btf, side.type_id), layout(btf, type_id)
        titles = ("the map's", whose)
        yield Finding(
            "layout",
            f"its {side.role}s, {left.type_name}, lie otherwise in {whose}: {'; '.join(wrong)}",
            hint=_packed(left, right, titles),
            lines=side_by_side(left, right, titles=titles, differ=marked),
            role=side.role,
            differences=wrong,
        )


def _at(leaf: Leaf) -> str:
    byte, bit = divmod(leaf.at, 8)
    return f"{byte}:{bit}" if bit or leaf.kind == "bits" else str(byte)


def _width(leaf: Leaf) -> str:
    return f"{leaf.bits} bits" if leaf.kind == "bits" else f"{leaf.bits // 8} bytes"


def _article(kind: str) -> str:
    if kind.endswith("[]"):
        return f"an array of {kind[:-2]}s"
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _portable(role: str, btf: Btf, type_id: int) -> Iterator[Finding]:
    """Say whether a type is another one for 32-bit programs, or packed."""
    try:
        own = layout(btf, type_id)
        small = [(arch, layout(btf, type_id, arch)) for arch in ("arm", "i386")]
    except SkepError:
        return  # a data section, or a type that another architecture cannot have
    for arch, there in small:
        if there.size != own.size or _places(there) != _places(own):
            where = f"in 32-bit programs ({arch})"
            text = f"{role} {own.type_name} has {own.size} bytes here and {there.size} {where}"
            if there.size == own.size:
                text = f"{role} {own.type_name} has members elsewhere {where}"
            lines = side_by_side(own, there, titles=("here", f"on {arch}"))
            yield Finding("word-size", text, lines=lines, role=role, arch=arch)
            break
    if own.packed:
        yield Finding("packed", f"{role} {own.type_name} is packed", role=role)


def _places(drawn: Layout) -> list[tuple[str, int, int]]:
    return [(row.name, row.bit_offset, row.bit_size) for row in drawn.rows]


def of_btf(view: View, *, told: bool) -> Iterator[Finding]:
    """Say that the map has no types, where it could have."""
    spec = view.map.spec
    if spec.btf is not None or told or spec.type in kinds.NO_TYPES or spec.type in kinds.KEYLESS:
        return
    if spec.untyped is not None:
        text = f"the map has BTF, which could not be read: {spec.untyped.message}"
        missing = list(spec.untyped.evidence.get("missing") or ())
        yield Finding("no-btf", text, hint=spec.untyped.hint, missing=missing)
        return
    yield Finding(
        "no-btf",
        f"the map has no BTF: its keys are {spec.key_size} bytes and its values"
        f" {spec.value_size}, and what they mean is not known",
        key_size=spec.key_size,
        value_size=spec.value_size,
    )
