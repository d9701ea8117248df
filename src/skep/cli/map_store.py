"""``skep map update`` and ``delete``: writing to any map."""

from __future__ import annotations

import click

from skep.cli.map_items import MAP, missing, opened, types
from skep.cli.map_keys import packed_as, packed_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.errors import KernelError, SkepError
    from skep.maps.system.sides import View


@click.command(
    "update", short_help="store a value under a key",
    context_settings={"ignore_unknown_options": True},
)  # fmt: skip
@MAP
@click.argument("key")
@click.argument("value")
@click.option("--new", "only_new", is_flag=True, help="Only when the key is not there yet.")
@click.option("--existing", is_flag=True, help="Only when the key is there.")
@click.option("--lock", is_flag=True, help="Under the value's bpf_spin_lock.")
@click.option("--every-cpu", is_flag=True, help="Store the one VALUE for each CPU.")
@types
def update(
    which: str,
    key: str,
    value: str,
    only_new: bool,
    existing: bool,
    lock: bool,
    every_cpu: bool,
    key_type: str | None,
    value_type: str | None,
    object: str | None,
) -> None:
    """Store VALUE under KEY in MAP, both written as in C or JSON (see skep map lookup --help).

    A per-CPU map takes a list with a value for each CPU, or one value and --every-cpu. A map of
    maps, a program array takes id:N or the path of a pin. Padding is stored as zero.
    """
    from skep.kernel.constants import UpdateFlags

    if only_new and existing:
        raise click.UsageError("--new and --existing exclude each other")
    flags = UpdateFlags.NOEXIST if only_new else UpdateFlags.EXIST if existing else 0
    from skep.maps import kinds

    with opened(which, key_type, value_type, object) as view, packed_key(view, key) as packed:
        if view.map.spec.type in kinds.DESCRIPTORS:
            with _referred(value, view) as fd:
                number = fd.fileno().to_bytes(4, _order())
                _store(view, key, packed, number, int(flags))
            return
        if view.cpus:
            data = _pack_cpus(value, view, every_cpu)
        else:
            data = packed_as(value, view.value, "VALUE")
        _store(view, key, packed, data, int(flags) | (UpdateFlags.LOCK if lock else 0))


class _Given(str):
    """A key as it was typed, which messages do not put in quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _store(view: View, key: str, packed: bytes, data: bytes, flags: int) -> None:
    from skep.errors import KernelError
    from skep.kernel import bpf
    from skep.kernel.constants import UpdateFlags

    try:
        bpf.map_update(view.map.fd, packed, data, flags)
    except KernelError as error:
        option = "--new" if flags & UpdateFlags.NOEXIST else "--existing"
        hint = f"leave {option} out to store it in any case"
        raise _refused(view, error, key, hint, flags) from error


def _refused(view: View, error: KernelError, key: str, hint: str, flags: int = 0) -> SkepError:
    """Say why the kernel refused it, with the hint for a command where Python's is another."""
    from skep.errors import KeyPresentError, MapError, MissingKeyError, UnsupportedError
    from skep.maps import kinds, refusal

    found = refusal.refused(view.map, error, _Given(key), flags=flags)
    array = view.map.spec.type in kinds.ARRAYS
    if isinstance(found, KeyPresentError) or (isinstance(found, MissingKeyError) and not array):
        found.hint = hint or found.hint
    elif isinstance(found, UnsupportedError) and array:
        found.hint = "store a zero instead"
    elif isinstance(found, MapError) and found.reason == "read-only":
        found.hint = "this user may only read the pin: run it as root, or chmod the pin"
    return found


def _order() -> Any:
    import sys

    return sys.byteorder


def _pack_cpus(text: str, view: View, every_cpu: bool) -> bytes:
    """Return the slots of all CPUs."""
    from skep.cli.notation import parse
    from skep.errors import RangeError, TypeMismatchError
    from skep.maps.system.plain import ARRAY, Shape
    from skep.maps.system.sides import Side

    side, pad = view.value, bytes(view.slot - view.value.size)
    if every_cpu:
        return (packed_as(text, side, "VALUE") + pad) * view.cpus
    many = Side("value", 0, side.cell, side.btf, side.type_id)
    many.shape = Shape(ARRAY, element=side.shape)
    values = parse(text, many, what="VALUE")
    if not isinstance(values, list) or len(values) != view.cpus:
        given = f"a list of {len(values)}" if isinstance(values, list) else text
        raise TypeMismatchError(
            f"VALUE: map {view.map.name!r} holds a value for each of {view.cpus} CPUs, and {given}"
            " is given",
            hint=f"give a list of {view.cpus} values, or one and --every-cpu",
            given=text,
        )
    try:
        return b"".join(side.cell.pack(one) + pad for one in values)
    except (TypeMismatchError, RangeError) as error:
        raise type(error)(f"VALUE: {error.message}", hint=error.hint, **error.evidence) from None


def _referred(text: str, view: View) -> Any:
    """Open the map or program that a value of a map of descriptors means."""
    from skep.errors import TypeMismatchError, UnsupportedError
    from skep.kernel import bpf
    from skep.kernel.constants import MapType
    from skep.maps.system import listing

    kind = view.map.spec.type
    if kind in (MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS):
        return listing.find(text)
    if kind != MapType.PROG_ARRAY:
        raise UnsupportedError(
            f"map {view.map.name!r} holds descriptors of this process's own, which the command has"
            " none of",
            hint="store them from Python: m[key] = something with fileno()",
            feature="map update",
        )
    what, word = listing.meaning(text)
    if what == "id":
        return bpf.fd_by_id("prog", int(word))
    if what == "pin":
        return bpf.obj_get(word)
    message = f"VALUE: a program is id:N or the path of a pin, not {text!r:.60}"
    raise TypeMismatchError(message, given=text)


@click.command(
    "delete", short_help="remove keys", context_settings={"ignore_unknown_options": True}
)
@MAP
@click.argument("keys", metavar="KEY...", nargs=-1, required=True)
@types
def delete(
    which: str,
    keys: tuple[str, ...],
    key_type: str | None,
    value_type: str | None,
    object: str | None,
) -> None:
    """Remove every KEY from MAP; status 1 when one was not there.

    All are understood before the first is removed.
    """
    from contextlib import ExitStack

    with opened(which, key_type, value_type, object) as view, ExitStack() as held:
        packed = [held.enter_context(packed_key(view, one)) for one in keys]
        absent = [
            (text, one)
            for text, one in zip(keys, packed, strict=True)
            if not _deleted(view, text, one)
        ]
        if absent:
            raise ExceptionGroup("", [missing(view, *one) for one in absent])


def _deleted(view: View, key: str, packed: bytes) -> bool:
    from skep.errors import KernelError
    from skep.kernel import bpf

    try:
        return bpf.map_delete(view.map.fd, packed)
    except KernelError as error:
        raise _refused(view, error, key, "") from error
