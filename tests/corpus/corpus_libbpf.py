"""The same object through Debian's libbpf: what it reads, and what bpftool loads with it."""

from __future__ import annotations

import ctypes
import os
import subprocess
from typing import TYPE_CHECKING, Any, TypeAlias

from needs import need_library

from skep.kernel import bpf
from skep.kernel.constants import AttachType, ProgramType

if TYPE_CHECKING:
    from pathlib import Path

    import skep

    Meaning: TypeAlias = tuple[str, ProgramType, AttachType, bool]
    """Section, type, attach type and autoload of a program."""

SECTION_MAPS = (".data", ".rodata", ".bss", ".kconfig")


class Libbpf:
    """Functions of the installed library that ask for no kernel."""

    def __init__(self) -> None:
        library = ctypes.CDLL(need_library("libbpf.so.1"))
        library.libbpf_set_print(None)
        library.bpf_object__open.restype = ctypes.c_void_p
        library.bpf_object__open.argtypes = [ctypes.c_char_p]
        library.bpf_object__close.argtypes = [ctypes.c_void_p]
        library.bpf_object__next_program.restype = ctypes.c_void_p
        library.bpf_object__next_program.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
        for name, result in (
            ("name", ctypes.c_char_p),
            ("section_name", ctypes.c_char_p),
            ("type", ctypes.c_int),
            ("expected_attach_type", ctypes.c_int),
            ("autoload", ctypes.c_bool),
        ):
            function = getattr(library, f"bpf_program__{name}")
            function.restype, function.argtypes = result, [ctypes.c_void_p]
        self.library = library

    def programs(self, path: Path) -> dict[str, Meaning] | None:
        """Return what an object's programs are; None when libbpf does not open the object."""
        library = self.library
        opened = library.bpf_object__open(os.fsencode(path))
        if not opened:
            return None
        found = {}
        try:
            each = library.bpf_object__next_program(opened, None)
            while each:
                found[library.bpf_program__name(each).decode()] = (
                    library.bpf_program__section_name(each).decode(),
                    ProgramType(library.bpf_program__type(each)),
                    AttachType(library.bpf_program__expected_attach_type(each)),
                    library.bpf_program__autoload(each),
                )
                each = library.bpf_object__next_program(opened, each)
        finally:
            library.bpf_object__close(opened)
        return found


def by_skep(spec: skep.ObjectSpec) -> dict[str, Any]:
    """Load *spec* and describe what is in the kernel then."""
    with spec.load() as live:
        return {
            "programs": {name: _program(each.fd) for name, each in live.programs.items()},
            "maps": {_plain(name): _map(each.fd) for name, each in live.maps.items()},
        }


def by_bpftool(path: Path, bpffs: Path) -> tuple[dict[str, Any] | None, str]:
    """Load the object at *path* with bpftool and describe what is in the kernel then.

    None when bpftool does not load it, with what it says.
    """
    programs, maps = bpffs / "programs", bpffs / "maps"
    command = ["bpftool", "prog", "loadall", str(path), str(programs), "pinmaps", str(maps)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        if done.returncode:
            return None, done.stderr.strip() or done.stdout.strip()
        found = {
            "programs": _pinned(programs, _program),
            "maps": {_plain(name): value for name, value in _pinned(maps, _map).items()},
        }
        return found, ""
    finally:
        for folder in (programs, maps):
            if folder.exists():
                for pin in folder.iterdir():
                    pin.unlink()
                folder.rmdir()


def _pinned(folder: Path, describe: Any) -> dict[str, Any]:
    found = {}
    for pin in sorted(folder.iterdir()) if folder.exists() else []:
        with bpf.obj_get(str(pin)) as fd:
            found[pin.name] = describe(fd)
    return found


def _program(fd: Any) -> dict[str, Any]:
    info = bpf.prog_info(fd)
    return {
        "name": info.name,
        "type": info.kind,
        "instructions": info.xlated_length // 8,
        "tag": info.tag,
        "maps": len(info.map_ids),
        "btf": bool(info.btf_id),
    }


def _map(fd: Any) -> dict[str, Any]:
    info = bpf.map_info(fd)
    names = ("kind", "key_size", "value_size", "max_entries", "flags", "extra")
    found: dict[str, Any] = {name: getattr(info, name) for name in names}
    found["key type"] = bool(info.btf_key_type_id)
    found["value type"] = bool(info.btf_value_type_id or info.btf_vmlinux_value_type_id)
    return found


def _plain(name: str) -> str:
    """Name a section's map as both can: libbpf puts the object before it, pins have no dots."""
    name = name.replace(".", "_")
    for section in SECTION_MAPS:
        end = section.replace(".", "_")
        if name.endswith(end):
            return end
    return name
