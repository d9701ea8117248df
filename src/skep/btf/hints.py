"""What classes with annotations say of their members: records, dataclasses, named tuples."""

from __future__ import annotations

import sys

from skep.btf.record import Record, member_name
from skep.errors import TypeMismatchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def is_members_class(want: Any) -> bool:
    """Tell whether *want* is a class whose annotations are members."""
    if not isinstance(want, type):
        return False
    if issubclass(want, Record):
        return bool(getattr(want, "_declared", False))
    if issubclass(want, tuple):
        return hasattr(want, "_fields") and hasattr(want, "_make")
    return hasattr(want, "__dataclass_fields__")


def written(want: Any) -> dict[str, str]:
    """Return the names of a class's members as it writes them, by C's name, in order."""
    if issubclass(want, tuple):
        names = list(want._fields)
    else:
        from dataclasses import fields

        names = [field.name for field in fields(want) if field.init]
    return {member_name(name, want.__name__): name for name in names}


def hints_of(want: Any) -> dict[str, Any]:
    """Return the types of a class's members by C's name of the member, in order.

    Raises `TypeMismatchError` when an annotation cannot be understood.
    """
    from typing import get_type_hints

    try:
        # Not looked up in the class: a member may be called like a type.
        found = get_type_hints(want, localns={}, include_extras=True)
    except (NameError, AttributeError, SyntaxError, TypeError) as error:
        raise TypeMismatchError(
            f"the annotations of {want.__qualname__} cannot be looked up: {error}",
            hint="classes and names in annotations have to be global in their module",
            given=want,
        ) from error
    if not issubclass(want, Record):
        return {member: _wanted(found.get(name)) for member, name in written(want).items()}
    hints = {}
    for base in reversed(want.__mro__):
        for name in base.__dict__.get("_own", ()):
            hints[base._names[name]] = _wanted(found.get(name))  # noqa: SLF001
    return {member: hints.get(member) for member in want._fields}


def _wanted(hint: Any) -> Any:
    """Return *hint*, or None where it says nothing."""
    return None if unwrapped(hint) == (None, ()) else hint


def _is_union(want: Any) -> bool:
    return type(want).__name__ in {"Union", "UnionType", "_UnionGenericAlias"}


def unwrapped(want: Any) -> tuple[Any, tuple[str, ...]]:
    """Return the type in an annotation, and C's names given with it (``Annotated[int, "u32"]``).

    ``T | None`` is T, the name of a NewType or type alias what it stands for.
    """
    marks: tuple[str, ...] = ()
    for _ in range(8):
        if hasattr(want, "__metadata__"):
            marks += tuple(one for one in want.__metadata__ if isinstance(one, str))
            want = want.__origin__
        elif hasattr(want, "__supertype__"):
            want = want.__supertype__
        elif hasattr(want, "__value__"):
            want = want.__value__
        elif hasattr(want, "__args__") and not hasattr(want, "__mro__") and _is_union(want):
            parts = [one for one in want.__args__ if one is not type(None)]
            if len(parts) != 1:
                return None, marks
            want = parts[0]
        else:
            break
    if want is object or want is sys.modules.get("typing", sys).__dict__.get("Any", object):
        want = None
    return want, marks
