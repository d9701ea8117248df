"""Loading: the one place where a spec meets the kernel. The steps are in `skep.object.loading`."""

from __future__ import annotations

import sys

from skep.btf.kernel import remember
from skep.errors import LoadErrors, PrivilegeError, SkepError, UnsupportedError
from skep.kernel.constants import ProgramType
from skep.kernel.release import release
from skep.object import ledger
from skep.object.loading import Loading
from skep.object.object import Object
from skep.object.variables import unknown_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import TypeAlias

    from skep.maps.map import Map
    from skep.object.loading import Token, Types
    from skep.object.spec import ObjectSpec
    from skep.programs.spec import ProgramSpec

    Choice: TypeAlias = Callable[[ProgramSpec], bool] | Collection[str] | None


# Memory of maps and programs is charged to a cgroup since then, and to RLIMIT_MEMLOCK before
# ("bpf: Eliminate rlimit-based memory accounting ...").
_CGROUPS = (5, 11)


def load(
    spec: ObjectSpec,
    *,
    btf: Types,
    programs: Choice,
    log_level: int,
    reuse_maps: Mapping[str, Map],
    token: Token = None,
) -> Object:
    """Load *spec*, all of it or nothing; see `ObjectSpec.load`."""
    live, failures = attempt(
        spec, btf=btf, programs=programs, log_level=log_level, reuse_maps=reuse_maps, token=token
    )
    if not failures:
        return live
    live.close()
    errors = list(failures.values())
    if len(errors) == 1:
        raise errors[0]
    count = f"{len(errors)} of {len(errors) + len(live.programs)} programs of {spec.name}"
    raise LoadErrors(f"{count} failed to load", errors)


def attempt(
    spec: ObjectSpec,
    *,
    btf: Types = None,
    programs: Choice = None,
    log_level: int = 0,
    reuse_maps: Mapping[str, Map],
    token: Token = None,
) -> tuple[Object, dict[str, SkepError]]:
    """Load of *spec* what loads; return it live, and the failure of each other program by name.

    The arguments are those of `ObjectSpec.load`. What does not concern one program only (a map that
    cannot be made, a missing privilege, no BTF of the kernel) is raised.
    """
    if spec.byteorder != sys.byteorder:
        message = f"object {spec.name} is {spec.byteorder}-endian, this machine is not"
        hint = f"compile it for this machine's byte order ({sys.byteorder}-endian)"
        raise UnsupportedError(message, hint=hint, feature=f"{spec.byteorder}-endian programs")
    if release()[:2] < _CGROUPS:
        from skep.kernel.rlimit import raise_memlock

        raise_memlock()
    chosen = _choose(spec, programs)
    live = Object(spec)
    loading = Loading(live, chosen, btf, log_level)
    try:
        loading.find_token(token)
        loading.load_btf()
        loading.fit_operations()
        loading.create_maps(reuse_maps)
        failures = loading.load_programs()
        loading.fill_maps()
        loading.store_operations(failures)
        ledger.bind(live.maps)
        remember()
    except PrivilegeError as error:
        from skep.object.failure import all_privileges, not_delegated

        live.close()
        if loading.token is not None:
            raise not_delegated(spec, error) from error
        raise all_privileges(spec, chosen, error) from error
    except BaseException:
        live.close()
        raise
    finally:
        loading.close()
    return live, failures


def _choose(spec: ObjectSpec, programs: Choice) -> list[ProgramSpec]:
    every = spec.programs
    if programs is None:
        return [
            program
            for program in every.values()
            if program.autoload
            and (program.type != ProgramType.STRUCT_OPS or not _only_unused(spec, program))
        ]
    if callable(programs):
        return [program for program in every.values() if programs(program)]
    for name in programs:
        if name not in every:
            raise unknown_name(name, every, "program", spec.name)
    return [program for name, program in every.items() if name in programs]


def _only_unused(spec: ObjectSpec, program: ProgramSpec) -> bool:
    """Whether *program* implements only structs that are not created."""
    from skep.object.struct_ops import left_out

    return left_out(spec.maps, program)
