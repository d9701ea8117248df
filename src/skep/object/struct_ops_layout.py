"""One struct of operations laid out as the running kernel has it.

For an interface X the kernel has two structs: X, whose function pointers programs implement, and
`bpf_struct_ops_X`, the map's value, which wraps it (BPF_STRUCT_OPS_COMMON_VALUE in linux/bpf.h).
Members are carried over by name, so that the object's declaration of X may have fewer of them, or
others in between.
"""

from __future__ import annotations

import sys

from skep.btf import types as t
from skep.btf.types import Kind
from skep.errors import KernelError, PrivilegeError, RelocationError, UnsupportedError
from skep.kernel import bpf
from skep.maps import kinds
from skep.maps.spec import MapSpec, kernel_name
from skep.maps.struct_ops import StructOpsSpec, is_function
from skep.object.core_types import essential_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn

    from skep.btf.btf import Btf
    from skep.kernel.fd import FD
    from skep.maps.map import Map
    from skep.programs.program import Program

PREFIX = "bpf_struct_ops_"


class Operations:
    """One struct of operations as this kernel has it.

    `value` are the bytes of the map's value, without the programs; `slots` says at which byte
    which program's descriptor goes, `members` which member of the struct each program implements;
    `absent` are programs for members that this kernel does not have.
    """

    __slots__ = (
        "absent", "kernel", "members", "module", "slots", "spec", "struct", "value", "wrapper",
    )  # fmt: skip

    def __init__(
        self,
        spec: StructOpsSpec,
        kernel: Btf,
        struct: t.Struct,
        wrapper: t.Struct,
        module: FD | None,
    ) -> None:
        self.spec = spec
        self.kernel = kernel
        self.struct = struct
        self.wrapper = wrapper
        self.module = module
        self.value = bytearray(wrapper.size)
        self.slots: dict[int, str] = {}
        self.members: list[tuple[str, int]] = []
        self.absent: set[str] = set()

    def create(self, btf_fd: FD | None, token: FD | None) -> Map:
        """Create the map, without a value."""
        spec = self.spec
        live = MapSpec(
            name=spec.name,
            type=spec.type,
            key_size=4,
            value_size=self.wrapper.size,
            max_entries=1,
            flags=spec.flags,
            btf=self.kernel,
            value_type_id=self.wrapper.id,
        )
        try:
            fd = bpf.map_create(
                type=int(spec.type),
                key_size=4,
                value_size=self.wrapper.size,
                max_entries=1,
                flags=int(spec.flags),
                name=kernel_name(spec.name),
                btf_fd=btf_fd,
                btf_vmlinux_value_type_id=self.wrapper.id,
                value_type_btf_obj_fd=self.module,
                token_fd=token,
            )
        except PrivilegeError:
            raise
        except KernelError as error:
            from skep.maps.failure import refused

            raise refused(live, error) from error
        return kinds.map_class(live.type)(fd, live)

    def filled(self, programs: Mapping[str, Program]) -> bytes:
        """Return the value with the descriptors of those of *programs* that are in it."""
        value = bytearray(self.value)
        for at, name in self.slots.items():
            program = dict.get(programs, name)  # type: ignore[call-overload]
            if program is not None:
                value[at : at + 8] = program.fileno().to_bytes(8, sys.byteorder)
        return bytes(value)

    def close(self) -> None:
        """Close the descriptor of the module's BTF, where there is one. Idempotent."""
        if self.module is not None:
            self.module.close()


def fit(spec: StructOpsSpec, kernel: Btf) -> Operations:
    """Lay *spec* out as *kernel*'s types, or those of a module, say.

    Raises `UnsupportedError` when the kernel has no such interface, `RelocationError` naming the
    member that the kernel lacks or has with another type.
    """
    assert spec.btf is not None
    assert spec.contents is not None
    name = essential_name(spec.struct.name)
    made = _find(spec, kernel, name)
    try:
        _copy(spec, made)
    except BaseException:
        made.close()
        raise
    return made


def _copy(spec: StructOpsSpec, made: Operations) -> None:
    assert spec.btf is not None
    assert spec.contents is not None
    start = next(
        member.bit_offset // 8
        for member in made.wrapper.members
        if made.kernel.strip(member.type_id).id == made.struct.id
    )
    theirs = {member.name: (index, member) for index, member in enumerate(made.struct.members)}
    programs = dict(spec.initial)
    for member in spec.struct.members:
        at = member.bit_offset // 8
        if member.bit_size or member.bit_offset % 8:
            _refuse(spec, member.name, "is a bit-field, which cannot be carried over")
        size = spec.btf.size_of(member.type_id)
        data = spec.contents[at : at + size]
        program = programs.pop(at, None)
        index, target = theirs.get(member.name, (-1, None))
        if target is None:
            # A declaration from a newer kernel: fine as long as nothing is lost.
            if program is not None:
                made.absent.add(program)
            elif any(data):
                _refuse(spec, member.name, "is set, and this kernel's struct has no such member")
            continue
        mine, other = spec.btf.strip(member.type_id), made.kernel.strip(target.type_id)
        there = start + target.bit_offset // 8
        if isinstance(mine, t.Pointer) != isinstance(other, t.Pointer):
            _refuse(spec, member.name, "is a pointer on one side only")
        if isinstance(mine, t.Pointer):
            if program is None:
                continue  # a pointer to something else, or to nothing
            if not is_function(made.kernel, target.type_id):
                _refuse(spec, member.name, "is no function in this kernel")
            made.slots[there] = program
            made.members.append((program, index))
            continue
        if program is not None:
            _refuse(spec, member.name, f"is no function, and is set to {program!r}")
        if target.bit_size or made.kernel.size_of(target.type_id) != size:
            theirs_size = made.kernel.size_of(target.type_id)
            _refuse(spec, member.name, f"has {size} bytes, and {theirs_size} in this kernel")
        made.value[there : there + size] = data
    if programs:
        at, program = next(iter(programs.items()))
        _refuse(spec, f"byte {at}", f"refers to {program!r} and is no member")


def _find(spec: StructOpsSpec, kernel: Btf, name: str) -> Operations:
    """Find the kernel's two structs for *name*."""
    found = _pair(kernel, name)
    if found is not None:
        return Operations(spec, kernel, *found, None)
    from skep.btf.modules import modules_with

    for module, btf in modules_with(PREFIX + name, kernel):
        found = _pair(btf, name)
        if found is not None:
            from skep.kernel.module_btf import module_btf_fd

            return Operations(spec, btf, *found, module_btf_fd(module))
    known = sorted(
        each.removeprefix(PREFIX)
        for each in kernel.strings_starting(PREFIX)
        if _pair(kernel, each.removeprefix(PREFIX))
    )
    raise UnsupportedError(
        f"map {spec.name!r} implements struct {name}, which this kernel does not let programs do",
        hint=f"it has {', '.join(known)}; a module that has another one must be loaded first"
        if known
        else "a module that has it must be loaded first",
        feature=f"struct_ops {name}",
        name=spec.name,
    )


def _pair(btf: Btf, name: str) -> tuple[t.Struct, t.Struct] | None:
    for id_ in btf.find(PREFIX + name, Kind.STRUCT):
        wrapper = btf.type(id_)
        if not isinstance(wrapper, t.Struct):
            continue
        for member in wrapper.members:
            struct = btf.strip(member.type_id)
            if isinstance(struct, t.Struct) and struct.name == name:
                return struct, wrapper
    return None


def _refuse(spec: StructOpsSpec, member: str, what: str) -> NoReturn:
    message = f"map {spec.name!r}: member {member!r} of struct {spec.struct.name} {what}"
    raise RelocationError(
        message,
        hint=f"leave it out: spec.maps[{spec.name!r}].members[{member!r}] = None or 0",
        type=spec.struct.name,
        field=member,
        reason=what,
        map=spec.name,
    )
