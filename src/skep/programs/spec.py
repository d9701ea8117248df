"""`ProgramSpec`: a program as plain data, and how the kernel is asked to load it."""

from __future__ import annotations

import errno
from struct import Struct

from skep.asm.code import Code
from skep.errors import KernelError, PrivilegeError, RangeError
from skep.kernel import bpf
from skep.kernel.constants import ProgramFlags, ProgramType, name_of
from skep.maps.spec import kernel_name
from skep.programs.program import Program
from skep.programs.sections import Section, parse_section

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any, Self

    from skep.asm.instruction import Instruction
    from skep.asm.items import Source
    from skep.btf.btf import Btf
    from skep.errors import SkepError
    from skep.kernel.constants import AttachType
    from skep.kernel.fd import FD
    from skep.maps.map import Map
    from skep.maps.spec import MapSpec
    from skep.programs.problem import Problem
    from skep.programs.targets import TypeTarget

FUNC_INFO, LINE_INFO = Struct("=II"), Struct("=IIII")

# Types whose target is one of BTF, for programs that no section name describes.
_BTF_TARGETS = frozenset({ProgramType.TRACING, ProgramType.EXT, ProgramType.LSM})

# The log of a failed load: first guess, and where the kernel's own limit lies (UINT_MAX >> 2,
# kernel/bpf/log.c; 16 MB before Linux 5.2).
LOG_START, LOG_MAX = 1 << 18, 1 << 30


class ProgramSpec:
    """A program as plain data. Every attribute may be changed until `load()`.

    *instructions* are written with `skep.asm`, labels and comments among them; or *code* is a
    `Code` or a sequence of single `Instruction`. What the *section* name means gives `type`,
    `expected_attach_type`, `attach_to` and `flags` (`ProgramFlags`) unless they are given; types
    may be given by name ("xdp", "cgroup_inet4_connect"). *attach_program* is the loaded program
    whose function `attach_to` an extension replaces, or a tracing program watches.
    *autoload* says whether `ObjectSpec.load()` loads it, *autoattach* whether `Object.attach()`
    attaches it. *btf* is the BTF that the code's function and line tables refer to. *maps* are
    the maps that *instructions* name, live or as a `MapSpec`. `assembled` says that the program
    was made from *instructions*, `labels` how places in it are called, by index. *problem* is why
    it cannot be loaded at all, found when its file was parsed: `load()` raises it. Not thread-safe;
    share copies.

    Raises `RangeError` when neither or both of *code* and *instructions* are given or a type has
    no such name, and what `skep.asm.assemble` raises.
    """

    __slots__ = (
        "assembled", "attach_program", "attach_to", "autoattach", "autoload", "btf", "code",
        "expected_attach_type", "flags", "kernel_version", "labels", "license", "maps", "name",
        "problem", "section", "type",
    )  # fmt: skip

    def __init__(
        self,
        *,
        name: str = "",
        code: Code | Iterable[Instruction] | None = None,
        instructions: Iterable[Source] | None = None,
        section: str = "",
        type: ProgramType | str | None = None,
        expected_attach_type: AttachType | str | None = None,
        attach_to: str | None = None,
        attach_program: Program | None = None,
        flags: int | None = None,
        license: str = "",
        autoload: bool | None = None,
        autoattach: bool | None = None,
        kernel_version: int = 0,
        btf: Btf | None = None,
        maps: Mapping[str, Map | MapSpec] | None = None,
        assembled: bool = False,
        labels: Mapping[int, str] | None = None,
        problem: SkepError | None = None,
    ) -> None:
        meant = parse_section(section)
        if isinstance(type, str) or isinstance(expected_attach_type, str):
            from skep.programs.assembled import numbers

            type, expected_attach_type = numbers(name, type, expected_attach_type)
        self.name = name
        self.section = section
        self.maps: dict[str, Map | MapSpec] = dict(maps or {})
        self.assembled = assembled
        if isinstance(code, Code):
            self.code = code
        elif code is not None and instructions is None:
            self.code = Code.of(code)
        else:
            from skep.programs.assembled import build

            self.code, btf, labels = build(name, code, instructions, self.maps)
            self.assembled = True
        self.type = meant.type if type is None else type
        self.expected_attach_type = (
            meant.expected_attach_type if expected_attach_type is None else expected_attach_type
        )
        self.attach_to = meant.target if attach_to is None else attach_to
        self.attach_program = attach_program
        if flags is None:
            flags = int(meant.flags)
            if self.type == ProgramType.SYSCALL:  # the kernel takes no others
                flags |= ProgramFlags.SLEEPABLE
        self.flags = flags
        self.license = license
        self.autoload = (meant.autoload or type is not None) if autoload is None else autoload
        self.autoattach = meant.auto_attachable if autoattach is None else autoattach
        self.kernel_version = kernel_version
        self.btf = btf
        self.labels = dict(labels or {})
        self.problem = problem

    def __repr__(self) -> str:
        what = self.section or name_of(ProgramType, self.type)
        return f"<ProgramSpec {self.name!r} ({what}): {len(self.code)} instructions>"

    @property
    def meaning(self) -> Section:
        """What the section name means, in full."""
        return parse_section(self.section)

    def copy(self) -> Self:
        """Return a copy with code of its own; `btf` is shared."""
        values: dict[str, Any] = {name: getattr(self, name) for name in ProgramSpec.__slots__}
        values["code"] = self.code.copy()
        values["maps"] = dict(self.maps)
        return type(self)(**values)

    def load(
        self,
        *,
        code: Code | None = None,
        btf_fd: FD | None = None,
        target: TypeTarget | None = None,
        fd_array: Sequence[FD | int] = (),
        token: FD | None = None,
        log_level: int = 0,
        precheck: bool | None = None,
    ) -> Program:
        """Load the program into the kernel and return it live.

        A program made from *instructions* is checked first, unless *precheck* is False; others
        are when it is True. Its maps are created where they are a `MapSpec`, and then belong to
        the program (`Program.maps`).

        *code* is `code` with its references filled in and CO-RE applied; it may be left out when
        there are none. *btf_fd* is `btf` in the kernel; with it function and line tables are
        passed along. *target* is what it attaches to, found from `attach_to` where the section asks
        for one. *token* delegates the right to load. *fd_array* are descriptors of modules' BTF
        that calls of kernel functions name by place. With *log_level* 1, 2 or 4 the log is asked
        for at once.

        Raises `PrecheckError` with what the check found, `VerifierError` (a `LoadError`) with the
        verifier's whole log, `PrivilegeError` naming the capability, `NotFoundError` when
        `attach_to` does not exist, `RangeError` when references are open. The first attempt asks
        for no log, which is faster; a refused program is verified again with one.
        """
        if self.problem is not None:
            raise self.problem.with_traceback(None)
        if self.assembled if precheck is None else precheck:
            from skep.programs.precheck import require

            require(self, code)
        if self.assembled:
            from skep.programs.assembled import load

            return load(self, code, target, fd_array, token, log_level)
        return self.load_code(
            code=code,
            btf_fd=btf_fd,
            target=target,
            fd_array=fd_array,
            token=token,
            log_level=log_level,
        )

    def given_map(self, name: str) -> Map | None:
        """Return the live map called *name* among `maps`; None when it is not there, or a spec."""
        from skep.maps.map import Map

        found = self.maps.get(name)
        return found if isinstance(found, Map) else None

    def precheck(self, *, kernel: bool = True) -> list[Problem]:
        """List what the verifier would refuse at a glance; see `skep.programs.precheck`.

        With *kernel* the running kernel is asked whether it has the helpers that are called, for
        this type of program; it is not asked when this process may not load programs.
        """
        from skep.programs.precheck import check

        return check(self, kernel=kernel)

    def disassemble(self, *, labels: bool = True, source: bool = True) -> list[str]:
        """List the instructions, with the names of functions, and the source lines of *source*.

        For the form see `skep.asm.disassemble`.
        """
        from skep.programs.listing import disassemble

        return disassemble(self, labels=labels, source=source)

    def load_code(
        self,
        *,
        code: Code | None = None,
        btf_fd: FD | None = None,
        target: TypeTarget | None = None,
        fd_array: Sequence[FD | int] = (),
        token: FD | None = None,
        log_level: int = 0,
    ) -> Program:
        """Load *code* as it is: `load` without the preparations for assembled programs."""
        code = self.code if code is None else code
        if code is self.code and (code.references or code.core):
            message = f"program {self.name!r} refers to maps or kernel types that are not filled in"
            raise RangeError(message, hint="load it as part of its ObjectSpec", program=self.name)
        arguments: dict[str, Any] = {
            "type": int(self.type),
            "insns": bytes(code.data),
            "license": self.license,
            "name": kernel_name(self.name),
            "expected_attach_type": int(self.expected_attach_type),
            "flags": int(self.flags),
            "kern_version": self.kernel_version,
            "fd_array": fd_array,
            "token_fd": token,
        }
        if btf_fd is not None:
            arguments["btf_fd"] = btf_fd
            if code.functions:
                arguments["func_info"] = b"".join([FUNC_INFO.pack(*row) for row in code.functions])
                arguments["func_info_rec_size"] = FUNC_INFO.size
            if code.lines:
                arguments["line_info"] = b"".join([LINE_INFO.pack(*row) for row in code.lines])
                arguments["line_info_rec_size"] = LINE_INFO.size
        own = self.find_target() if target is None else None
        target = target or own
        try:
            if target is not None:
                arguments.update(target.arguments())
            if log_level == 0:
                try:
                    return Program(bpf.prog_load(**arguments), self)
                except KernelError as error:
                    if not _is_verdict(error):
                        raise self._named(error) from error
            return self._load_with_log(arguments, code, log_level or 1)
        finally:
            if own is not None:
                own.close()

    def _load_with_log(self, arguments: dict[str, Any], code: Code, level: int) -> Program:
        """Load with a log buffer that grows until the whole log fits."""
        size = LOG_START
        while True:
            buffer = bytearray(size)
            try:
                fd = bpf.prog_load(**arguments, log_level=level, log_buffer=buffer)
            except KernelError as error:
                if error.errno == errno.ENOSPC and size < LOG_MAX:
                    needed = int(error.evidence.get("log_true_size") or 0)
                    size = min(max(size * 4, needed), LOG_MAX)
                    continue
                log = buffer[: max(buffer.find(0), 0)].decode("utf-8", "replace")
                # The verifier says why it denies something; the kernel's checks before it do not.
                if not log and (error.errno == errno.EPERM or not _is_verdict(error)):
                    raise self._named(error) from error
                from skep.programs.older import adapted

                changed = adapted(self, arguments, log)
                if changed is not None:
                    arguments = changed
                    continue
                from skep.programs.failure import refused

                raise refused(self, code, error, log) from error
            return Program(fd, self)

    def _named(self, error: KernelError) -> KernelError:
        """Turn a failure that is not the verifier's into one that names program and section."""
        from skep.programs.failure import not_loaded

        return not_loaded(self, error)

    def find_target(self) -> TypeTarget | None:
        """Find the type that the program attaches to, None where none is needed.

        The caller closes it. Raises what `skep.programs.targets.find_target` does.
        """
        if self.section and not self.meaning.btf_target:
            return None
        if not self.section and self.type not in _BTF_TARGETS:
            return None
        from skep.programs.targets import find_target

        return find_target(self)

    def target_id(self) -> int:
        """Return the id of the kernel's type that the program attaches to; 0 for other targets."""
        target = self.find_target()
        if target is None:
            return 0
        target.close()
        return target.id if target.module is None and target.program is None else 0


def _is_verdict(error: KernelError) -> bool:
    """Whether the verifier may have something to say about *error*."""
    # A missing privilege, memory and interruption are not about the code. EFAULT may be: "The
    # sequence of 8193 jumps is too complex" comes with it.
    if isinstance(error, PrivilegeError):
        return False
    return error.errno not in (errno.ENOMEM, errno.EINTR, errno.ENOSYS)
