"""Values of kconfig externs: which C types they may have, and how an option becomes bytes.

Where libbpf decides something, it is decided the same way here, because objects depend on it: the
C types, that a string which is too long is cut, that a `char` takes the letter of a tristate
(set_kcfg_value_tri and its neighbours in libbpf.c). Two things are more: an option that the
configuration says is off makes a `bool` or a tristate false, weak or not, and every value can
be set by the user.
"""

from __future__ import annotations

from skep.btf import types as t
from skep.errors import FormatError, NotFoundError, RangeError, SkepError, TypeMismatchError
from skep.kernel.kconfig import Kconfig, kernel_config, unquoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal

    from skep.btf.btf import Btf
    from skep.object.externs import ExternSpec

    Shape = Literal["bool", "tristate", "char", "int", "string", ""]

TRISTATE = "libbpf_tristate"
_STATES = {"n": 0, "y": 1, "m": 2}  # enum libbpf_tristate
_TAKES = {
    "bool": "y or n",
    "tristate": "y, m or n",
    "char": "y, m, n or a number",
    "int": "a number",
    "string": "a string",
}
_TYPES = "a bool, an enum libbpf_tristate, an integer or an array of char"
_PREFIX, _INVENTED = "CONFIG_", "LINUX_"


def shape(btf: Btf, type_id: int) -> Shape:
    """Return what a kconfig extern of this type takes, "" for a type that takes nothing."""
    found = btf.strip(type_id)
    if isinstance(found, t.Int):
        if found.is_bool:
            return "bool" if found.size == 1 else ""
        return "char" if found.size == 1 else "int" if found.size <= 8 else ""
    if isinstance(found, t.Enum):
        return "tristate" if found.name == TRISTATE and found.size in (1, 4, 8) else ""
    if isinstance(found, t.Array) and found.length and shape(btf, found.type_id) == "char":
        return "string"
    return ""


def pack(extern: ExternSpec, value: Any) -> bytes:
    """Encode a value that the user gives: True, False, "y", "m", "n", an int or a str.

    Raises `TypeMismatchError` or `RangeError` naming the option, the value and the C type.
    """
    wanted = _checked_shape(extern)
    if wanted == "string":
        if not isinstance(value, str):
            raise _mismatch(extern, value, wanted)
        data = value.encode("utf-8", "surrogateescape")
        if len(data) >= extern.size:
            raise _range(extern, value, f"at most {extern.size - 1} bytes and a NUL")
        return data.ljust(extern.size, b"\0")
    if isinstance(value, bool):
        if wanted == "int":
            raise _mismatch(extern, value, wanted)
        return _tristate(extern, wanted, "y" if value else "n")
    if isinstance(value, str) and value in _STATES:
        return _tristate(extern, wanted, value)
    if isinstance(value, int):
        return _number(extern, wanted, value)
    raise _mismatch(extern, value, wanted)


def pack_raw(extern: ExternSpec, raw: str) -> bytes:
    """Encode what stands after ``CONFIG_X=`` in a configuration; raises like `pack`."""
    wanted = _checked_shape(extern)
    if raw in _STATES:
        return _tristate(extern, wanted, raw)
    if raw[:1] == '"':
        if wanted != "string":
            raise _mismatch(extern, raw, wanted)
        if len(raw) < 2 or raw[-1] != '"':
            raise FormatError(f"option {extern.name} is {raw}: the string does not end")
        data = unquoted(raw).encode("utf-8", "surrogateescape")
        return data[: extern.size - 1].ljust(extern.size, b"\0")
    from skep.kernel.kconfig import parse_value

    value = parse_value(raw, f"option {extern.name}")
    assert isinstance(value, int)
    return _number(extern, wanted, value)


def _tristate(extern: ExternSpec, wanted: Shape, state: str) -> bytes:
    if wanted == "bool" and state != "m":
        return bytes([state == "y"])
    if wanted == "char":
        return state.encode()
    if wanted == "tristate":
        return _STATES[state].to_bytes(extern.size, _order(extern))
    raise _mismatch(extern, state, wanted)


def _number(extern: ExternSpec, wanted: Shape, value: int) -> bytes:
    if wanted not in ("bool", "char", "int"):
        raise _mismatch(extern, value, wanted)
    found = extern.btf.strip(extern.type_id)
    signed = isinstance(found, t.Int) and found.signed and wanted != "bool"
    low = -(1 << 8 * extern.size - 1) if signed else 0
    high = (1 << 8 * extern.size - signed) - 1 if wanted != "bool" else 1
    # A number of 64 bits may be written either way: 0xffff... is what a kernel means by -1.
    if extern.size == 8:
        low, high = -(1 << 63), (1 << 64) - 1
    if not low <= value <= high:
        raise _range(extern, value, f"{low} to {high}")
    return (value & (1 << 8 * extern.size) - 1).to_bytes(extern.size, _order(extern))


def _order(extern: ExternSpec) -> Literal["little", "big"]:
    return "big" if extern.btf.byteorder == "big" else "little"


def _checked_shape(extern: ExternSpec) -> Shape:
    found = shape(extern.btf, extern.type_id)
    if not found:
        raise TypeMismatchError(
            f"kconfig extern '{extern.declaration}' has a type that no option has:"
            f" expected {_TYPES}",
            expected=_TYPES,
            given=extern.declaration,
            field=extern.name,
        )
    return found


def _mismatch(extern: ExternSpec, value: object, wanted: Shape) -> TypeMismatchError:
    shown = value if isinstance(value, str) else repr(value)
    return TypeMismatchError(
        f"option {extern.name} is {shown}, but the program declares it as"
        f" '{extern.declaration}', which takes {_TAKES[wanted]}",
        expected=_TAKES[wanted],
        given=value,
        field=extern.name,
    )


def _range(extern: ExternSpec, value: object, expected: str) -> RangeError:
    return RangeError(
        f"option {extern.name} is {value}, which does not fit '{extern.declaration}': {expected}",
        expected=expected,
        given=value,
        field=extern.name,
    )


def kernel_value(extern: ExternSpec) -> bytes:
    """Return the bytes of a kconfig extern for the running kernel: zeros for a weak one it lacks.

    Raises `NotFoundError` for one that is not set and not weak, naming the files that were looked
    at, and what `pack` raises when value and C type do not go together.
    """
    if extern.value is not None:
        return pack(extern, extern.value)
    if extern.name.startswith(_PREFIX):
        try:
            config = kernel_config()
        except NotFoundError:
            if extern.weak:
                return bytes(extern.size)
            raise
        return config_value(extern, config)
    wanted = _checked_shape(extern)
    number = _invented(extern.name)
    if number is not None:
        return _number(extern, wanted, number)
    if extern.weak:
        return bytes(extern.size)
    raise NotFoundError(
        f"{extern.name} is no kconfig extern that loaders know",
        hint=f"expected {_PREFIX}..., {', '.join(_NAMES)}; declare it __weak to have 0",
        name=extern.name,
        where=".kconfig",
    )


def config_value(extern: ExternSpec, config: Kconfig) -> bytes:
    """Return the bytes of the option *extern* in *config*; raises like `kernel_value`."""
    raw = config.raw(extern.name)
    wanted = _checked_shape(extern)
    if raw is not None:
        return pack_raw(extern, raw)
    off = config.is_off(extern.name)
    if extern.weak or (off and wanted in ("bool", "tristate")):
        return _tristate(extern, wanted, "n") if off and wanted == "char" else bytes(extern.size)
    what = "is not set" if off else "does not exist"
    more = "".join(f"; {path}: {reason}" for path, reason in config.tried)
    raise NotFoundError(
        f"option {extern.name} {what} in {config.path}{more}",
        hint=f"declare it __weak to have 0, or set spec.externs[{extern.name!r}].value",
        name=extern.name,
        where=config.path,
    )


_NAMES = ("LINUX_KERNEL_VERSION", "LINUX_HAS_SYSCALL_WRAPPER", "LINUX_HAS_BPF_COOKIE")


def _invented(name: str) -> int | None:
    """Return the value of one of libbpf's own externs, None for a name that it does not have."""
    if name == _NAMES[0]:
        from skep.kernel.release import version_code

        return version_code()
    if name == _NAMES[1]:
        return int(has_syscall_wrappers())
    if name == _NAMES[2]:
        from skep.kernel.features import available

        return int(available("attach_cookie"))
    return None


# ARCH_HAS_SYSCALL_WRAPPER: system calls are functions of a struct pt_regs, called by these names.
_WRAPPERS = {
    "x86_64": "__x64_sys_",
    "aarch64": "__arm64_sys_",
    "s390x": "__s390x_sys_",
    "riscv64": "__riscv_sys_",
}


def has_syscall_wrappers() -> bool:
    """Whether this kernel's system calls take their arguments in a struct pt_regs (Linux 4.17)."""
    import os

    prefix = _WRAPPERS.get(os.uname().machine)
    if prefix is None:
        return False
    from skep.kernel.kallsyms import has_prefix

    try:
        return has_prefix(prefix)
    except SkepError:
        return False  # no symbols to see: "0 otherwise", as libbpf
