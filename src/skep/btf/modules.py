"""The BTF of kernel modules: split BTF that continues the kernel's own.

Source: `/sys/kernel/btf/MODULE` (CONFIG_DEBUG_INFO_BTF_MODULES=y, Linux 5.11). A machine has a
hundred of them and an object needs one or none, so a module is only parsed when the name that is
looked for occurs in it. One whose BTF is broken, or was made for another build of the kernel,
never stops anything: it is left out, and `refused_modules` says why.
"""

from __future__ import annotations

import os
import sys

from skep.btf.btf import Btf
from skep.errors import BtfError, NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = "/sys/kernel/btf"

_opened: dict[str, tuple[bytes, Btf, Btf]] = {}
_refused: dict[str, str] = {}


def module_names() -> list[str]:
    """Return the loaded modules that have BTF, sorted; none where sysfs has no such folder."""
    try:
        names = os.listdir(FOLDER)
    except OSError:
        return []
    return sorted(name for name in names if name != "vmlinux")


def module_btf(name: str, base: Btf) -> Btf:
    """Return the types of module *name*, which continue *base*, the running kernel's BTF.

    Raises `NotFoundError` when no such module is loaded or has BTF, `BtfError` when it is
    malformed. Parsed once as long as the module stays the same.
    """
    return _parse(name, _read(name), base)


def modules_with(name: str, base: Btf) -> Iterator[tuple[str, Btf]]:
    """Yield each module that has a type called *name* of its own, as (module, its BTF).

    *base* is the running kernel's BTF. Only modules that mention the name are parsed. What
    cannot be read or is malformed is left out and remembered: see `refused_modules`.
    """
    needles = [b"\0" + name.encode("utf-8", "surrogateescape") + b"\0"]
    # A string that the kernel's BTF has, for whatever purpose, is not repeated in a module's.
    needles += [offset.to_bytes(4, sys.byteorder) for offset in base.string_offsets(name)]
    for module in module_names():
        try:
            data = _read(module)
            if not any(needle in data for needle in needles):
                continue
            btf = _parse(module, data, base)
            # Every record is looked at, so that a broken one shows here and not in its user.
            own = [id_ for id_ in btf.find(name) if id_ >= btf.first_id]
            for id_ in own:
                btf.type(id_)
        except (BtfError, NotFoundError) as error:
            _refused[module] = error.message
            continue
        _refused.pop(module, None)
        if own:
            yield module, btf


def refused_modules() -> dict[str, str]:
    """Return why modules were left out so far, by name."""
    return dict(_refused)


def _read(name: str) -> bytes:
    where = f"{FOLDER}/{name}"
    try:
        if "/" in name or name == "vmlinux":
            raise FileNotFoundError(2, os.strerror(2), where)
        with open(where, "rb") as file:
            return file.read()
    except OSError as error:
        raise NotFoundError(
            f"there is no BTF of a module {name!r}: {where}: {error.strerror}",
            hint="is it loaded? Its BTF also needs CONFIG_DEBUG_INFO_BTF_MODULES=y",
            name=name,
            where=where,
        ) from error


def _parse(name: str, data: bytes, base: Btf) -> Btf:
    known = _opened.get(name)
    if known is not None and known[0] == data and known[1] is base:
        return known[2]
    btf = Btf.from_bytes(data, base=base, name=name)
    _opened[name] = (data, base, btf)
    return btf
