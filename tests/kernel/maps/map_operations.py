"""The operations of the table: each done for real on a fresh map, and what came of it."""

from __future__ import annotations

import errno
import subprocess
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from map_subjects import SUBJECTS

from skep.errors import LoadError, SkepError
from skep.kernel import bpf
from skep.maps import kinds
from skep.maps.live import LiveMap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from map_subjects import Case

    from skep.kernel.constants import MapType

Outcome = tuple[str, str]
"""In a word ("ok", or the error's class and errno), and the error's own words."""

# The kernel's own calls need no key's meaning, only its bytes.
_ANY_KEY = bytes(16)


class WrongError(Exception):
    """An operation that raised nothing and did not do what it says."""


def expect(condition: object, what: str) -> None:
    if not condition:
        raise WrongError(what)


def same(read: Any, wanted: Any) -> bool:
    return wanted is ... or read == wanted


def released(value: Any) -> Any:
    """Return *value*; a map that was opened inside another is closed again."""
    if isinstance(value, LiveMap):
        value.close()
    return value


def lookup(case: Case) -> None:
    expect(same(released(case.map[case.key]), case.reads), "another value")


def update(case: Case) -> None:
    case.map[case.key] = case.changed
    if case.reads is not ...:
        expect(case.map[case.key] != () and case.key in case.map, "not stored")


def insert(case: Case) -> None:
    case.map.insert(case.other, case.changed)
    if case.reads is not ...:
        expect(case.other in case.map, "not inserted")


def replace(case: Case) -> None:
    case.map.replace(case.key, case.changed)
    if case.reads is not ...:
        expect(case.key in case.map, "not there")


def delete(case: Case) -> None:
    del case.map[case.key]
    if case.reads is not ...:
        expect(case.key not in case.map, "still there")


def pop_key(case: Case) -> None:
    expect(same(released(case.map.pop(case.key)), case.reads), "another value")


def iterate(case: Case) -> None:
    keys = list(case.map)
    expect(len(keys) == len(case.keys) and all(key in keys for key in case.keys), f"keys {keys}")


def count(case: Case) -> None:
    expect(case.map.count() == len(case.keys), "another count")


def clear(case: Case) -> None:
    case.map.clear()


def read(case: Case) -> None:
    keys, values = case.map.read()
    expect(len(keys) == len(values) == len(case.keys), f"{len(keys)} keys, {len(values)} values")


def update_columns(case: Case) -> None:
    if hasattr(case.map, "add"):  # a set: it has no keys to go with the values
        case.map.update([case.changed])
    else:
        case.map.update([case.key], [case.changed])


def delete_columns(case: Case) -> None:
    expect(case.map.delete([case.key]) == 1, "another number of keys")


def drain(case: Case) -> None:
    taken = case.map.drain()
    columns = taken if isinstance(taken, tuple) else (taken,)
    expect(all(len(column) == len(case.keys) for column in columns), "another number of rows")


def push(case: Case) -> None:
    case.map.push(case.changed)


def pop(case: Case) -> None:
    expect(same(case.map.pop(), case.reads), "another value")


def peek(case: Case) -> None:
    expect(same(case.map.peek(), case.reads), "another value")


def add(case: Case) -> None:
    case.map.add(case.changed)
    expect(case.changed in case.map, "not added")


def memory(case: Case) -> None:
    if case.map.memory() is None:
        raise WrongError("none")


def freeze(case: Case) -> None:
    case.map.freeze()


def pin(case: Case) -> None:
    with bpf_folder() as folder:
        case.map.pin(f"{folder}/m")
        type(case.map).from_pin(f"{folder}/m").close()


@contextmanager
def bpf_folder() -> Iterator[str]:
    """Mount a bpf file system for a while."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["mount", "-t", "bpf", "none", folder], check=True)
        try:
            yield folder
        finally:
            subprocess.run(["umount", folder], check=True)


def _value_room(case: Case) -> bytearray:
    return bytearray(max(case.map.spec.value_size * 256, 4096))


def raw_lookup_and_delete(case: Case) -> None:
    bpf.map_lookup_and_delete(case.map.fd, raw_key(case), _value_room(case))


def raw_lookup_batch(case: Case) -> None:
    room = _value_room(case), _value_room(case)
    bpf.map_lookup_batch(case.map.fd, None, bytearray(64), *room, 1)


def raw_key(case: Case) -> bytes:
    """Return the key as bytes, or no bytes for maps without keys."""
    if not case.map.spec.key_size:
        return b""
    try:
        packed: bytes = case.map.cells.key.pack(case.key)
    except (SkepError, AttributeError):
        return _ANY_KEY
    return packed


OPERATIONS: dict[str, Callable[[Case], None]] = {
    "create": lambda _: None,
    "m[k]": lookup,
    "m[k] = v": update,
    "insert": insert,
    "replace": replace,
    "del": delete,
    "pop(k)": pop_key,
    "iterate": iterate,
    "count": count,
    "clear": clear,
    "read": read,
    "update": update_columns,
    "delete": delete_columns,
    "drain": drain,
    "push": push,
    "pop()": pop,
    "peek": peek,
    "add": add,
    "memory": memory,
    "freeze": freeze,
    "pin": pin,
    "LOOKUP_AND_DELETE": raw_lookup_and_delete,
    "LOOKUP_BATCH": raw_lookup_batch,
}

# Methods that only some classes have; where there is none, there is nothing to try.
METHODS = {"push": "push", "peek": "peek", "add": "add"}
NONE = "-"


def outcomes(type: MapType) -> dict[str, Outcome]:
    """Do every operation on a fresh map of *type*."""
    found = {}
    for name in OPERATIONS:
        found[name] = outcome(type, name)
        if name == "create" and found[name][0] != "ok":
            return {each: found[name] if each == name else (NONE, "") for each in OPERATIONS}
    return found


def outcome(type: MapType, name: str) -> Outcome:
    """Do the operation *name* on a fresh map of *type*."""
    shown: Case | None = None
    try:
        with SUBJECTS[type](type) as case:
            shown = case
            if name in METHODS and not hasattr(case.map, METHODS[name]):
                return NONE, ""
            if name == "pop()" and not hasattr(case.map, "push"):
                return NONE, ""
            if name == "pop(k)" and hasattr(case.map, "push"):
                return NONE, ""
            try:
                OPERATIONS[name](case)
            except WrongError as error:
                return (NONE, "") if str(error) == "none" else ("WRONG", str(error))
            except SkepError as error:
                return word(error), words(error, case, type)
            except Exception as error:  # noqa: BLE001 - the table shows it, and the test fails
                return f"{error.__class__.__name__}!", str(error)
    except LoadError as error:
        if shown is not None:
            raise
        return word(error), words(error, None, type)
    return "ok", ""


def word(error: SkepError) -> str:
    """Return an error's class, with its errno where it is the kernel's answer."""
    code = getattr(error, "errno", 0)
    name = error.__class__.__name__
    if not code:
        return name
    return f"{name} {'ENOTSUPP' if code == 524 else errno.errorcode.get(code, code)}"


def words(error: SkepError, case: Case | None, type: MapType) -> str:
    """Return an error's text, the same for all maps for which it is the same."""
    kind = kinds.type_name(type)
    text = error.message.replace("map 'm'", "map").replace(f"({kind})", "(TYPE)")
    if case is not None:
        for what, name in ((case.key, "KEY"), (case.other, "KEY"), (case.value, "VALUE")):
            for before in ("key", "of", "there,", "str"):
                text = text.replace(f"{before} {what!r:.60}", f"{before} {name}")
    return " ".join(text.split())
