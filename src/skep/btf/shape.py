"""What is said when a value or a class has not the shape of its type: both, side by side.

Imported when something does not fit, and by codecs for values that are no tuples or mappings.
"""

from __future__ import annotations

import sys

from skep.btf.views import is_padding, spelled
from skep.errors import TypeMismatchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from skep.btf._composite import Composite
    from skep.btf.btf import Btf

_MAX_ROWS = 40
_WIDE = 32  # characters of a value
MISSING = "(missing)"


def members_of(value: Any) -> dict[str, Any] | None:
    """Return the members of a value that has some, by name, else None."""
    kind = type(value)
    if hasattr(kind, "__dataclass_fields__"):
        from skep.btf.hints import written

        return {member: getattr(value, name) for member, name in written(kind).items()}
    names = getattr(getattr(value, "dtype", None), "names", None)
    if names and not getattr(value, "shape", ()):
        return {name: value[name] for name in names if not is_padding(name)}
    ctypes = sys.modules.get("ctypes")
    if ctypes is not None and isinstance(value, (ctypes.Structure, ctypes.Union)):
        from skep.btf.foreign import member_names

        return {name: getattr(value, name) for name in member_names(kind) if not is_padding(name)}
    return None


def columns(titles: tuple[str, str], rows: Iterable[tuple[str, str, bool]]) -> str:
    """Return two columns of text under *titles*; a row that is not equal is marked ``!``."""
    rows = list(rows)
    more = len(rows) - _MAX_ROWS
    rows = rows[:_MAX_ROWS]
    width = max([len(titles[0]), *(len(left) for left, _, _ in rows)])
    lines = [f"  {titles[0]:{width}}   {titles[1]}"]
    lines += [
        f"{' ' if same else '!'} {left:{width}} {' ' if same else '|'} {right}"
        for left, right, same in rows
    ]
    if more > 0:
        lines.append(f"  ... and {more} more")
    return "\n".join(line.rstrip() for line in lines)


# -- a value ------------------------------------------------------------------------------


def with_layouts(error: TypeMismatchError, of: Composite, value: Any) -> TypeMismatchError:
    """Return *error* with the layout of the struct, and what was given for each member."""
    expected = [_declared(field) for field in of.fields]
    given = _given(of, value)
    right = [text for text, _ in given]
    pad = len(right) - len(expected)
    rows = [
        (left, text, fits)
        for left, (text, fits) in zip(
            [*expected, *[""] * pad], [*given, *[("", False)] * -pad], strict=True
        )
    ]
    titles = (f"{of.type_name}, {of.size} bytes", f"given: {_short(type(value).__name__)}")
    return TypeMismatchError(
        error.message,
        hint=error.hint,
        **{
            **error.evidence,
            "expected_layout": expected,
            "given_layout": [text for text in right if text],
            "comparison": columns(titles, rows),
        },
    )


def _declared(field: Any) -> str:
    base, bracket, rest = field.codec.type_name.partition("[")
    return f"{field.offset:>4} {field.codec.size:>4}  {base} {field.name}{bracket}{rest}"


def _given(of: Composite, value: Any) -> list[tuple[str, bool]]:
    """Return what is given for each member, then what is given beside them."""
    if isinstance(value, (tuple, list)):
        got = [(_short(repr(one)), i < len(of.fields)) for i, one in enumerate(value)]
        if len(value) == len(of.fields):
            got = [
                (text, _fits(field.codec, one))
                for (text, _), field, one in zip(got, of.fields, value, strict=True)
            ]
        return got + [(MISSING, False)] * (len(of.fields) - len(got))
    members = value if hasattr(value, "keys") else members_of(value)
    if members is None:
        return [(_short(repr(value)), False)]
    rows = []
    for field in of.fields:
        if field.name in members:
            one = members[field.name]
            rows.append((f"{field.name} = {_short(repr(one))}", _fits(field.codec, one)))
        elif field.optional:
            rows.append(("(zero)", True))
        else:
            rows.append((MISSING if not field.group else "", bool(field.group)))
    names = {field.name for field in of.fields}
    return rows + [
        (f"{_short(str(name))} = {_short(repr(members[name]))}", False)
        for name in members
        if name not in names
    ]


def _fits(codec: Any, value: Any) -> bool:
    try:
        codec.explain(value, "")
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _short(text: str) -> str:
    return text if len(text) <= _WIDE else f"{text[: _WIDE - 3]}..."


# -- a class ------------------------------------------------------------------------------


def class_misfit(
    btf: Btf,
    type_id: int,
    name: str,
    want: Any,
    hints: Mapping[str, Any],
    problems: Sequence[tuple[str, TypeMismatchError]],
    left_out: Sequence[str],
    unknown: Sequence[str],
) -> TypeMismatchError:
    """Make the error for a class whose members are not those of the struct *type_id*."""
    from skep.btf.layout import layout

    shown = layout(btf, type_id)
    wrong = dict(problems)
    rows: list[tuple[str, str, bool]] = []
    seen = set()
    for row in shown.rows:
        left = f"{row.offset:>4} {row.size:>4}  {'  ' * row.depth}{row.text or f'({row.kind})'}"
        right, same = "", True
        if row.kind == "member" and row.name in {*hints, *left_out} and row.name not in seen:
            seen.add(row.name)
            right = f"{row.name}: {_annotation(hints[row.name])}" if row.name in hints else MISSING
            same = row.name in hints and row.name not in wrong
        rows.append((left, right, same))
    rows += [("", f"{one}: {_annotation(hints[one])}", False) for one in unknown]
    sentences = [f"{member}: {error.message}" for member, error in problems]
    sentences += [f"it has no member {one!r}" for one in left_out]
    sentences += [f"{name} has no member {one!r}" for one in unknown]
    advice = [f"{member}: {error.hint}" if error.hint else "" for member, error in problems]
    if left_out:
        advice.append(f"declare {', '.join(left_out)}")
    if unknown:
        advice.append(f"leave out {', '.join(unknown)}, or spell it as in C")
    if not sentences:
        sentences = ["two of its members have the same name"]
    comparison = columns((f"{shown.type_name}, {shown.size} bytes", f"class {spelled(want)}"), rows)
    first = problems[0][0] if problems else [*left_out, *unknown, ""][0]
    return TypeMismatchError(
        f"{spelled(want)} does not fit {name}: {'; '.join(sentences)}",
        hint="; ".join(one for one in advice if one),
        expected=name,
        given=want,
        field=first,
        expected_layout=shown.lines(),
        given_layout=[f"{member}: {_annotation(hint)}" for member, hint in hints.items()],
        comparison=comparison,
    )


def _annotation(hint: Any) -> str:
    return "Any" if hint is None else spelled(hint)
