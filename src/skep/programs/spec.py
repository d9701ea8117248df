"""`ProgramSpec`: a program as plain data, and how the kernel is asked to load it."""

from __future__ import annotations

import errno
from struct import Struct

from skep.asm.code import Code
from skep.errors import KernelError, PrivilegeError, RangeError
from skep.kernel import bpf
from skep.programs.program import Program
from skep.programs.sections import Section, parse_section

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Self

    from skep.asm.instruction import Instruction
    from skep.btf.btf import Btf
    from skep.kernel.constants import AttachType, ProgramType
    from skep.kernel.fd import FD

NAME_LENGTH = 15
"""BPF_OBJ_NAME_LEN less its NUL (include/uapi/linux/bpf.h)."""

FUNC_INFO, LINE_INFO = Struct("=II"), Struct("=IIII")

# The log of a failed load: first guess, and where the kernel's own limit lies (UINT_MAX >> 2,
# kernel/bpf/log.c; 16 MB before Linux 5.2).
LOG_START, LOG_MAX = 1 << 18, 1 << 30


class ProgramSpec:
    """A program as plain data. Every attribute may be changed until `load()`.

    *code* is a `Code` or a sequence of `Instruction`. What the *section* name means gives `type`,
    `expected_attach_type`, `attach_to` and `flags` (`ProgramFlags`) unless they are given.
    *autoload* says whether `ObjectSpec.load()` loads it, *autoattach* whether `Object.attach()`
    attaches it. *btf* is the BTF that the code's function and line tables refer to. Not
    thread-safe; share copies.
    """

    __slots__ = (
        "attach_to", "autoattach", "autoload", "btf", "code", "expected_attach_type", "flags",
        "kernel_version", "license", "name", "section", "type",
    )  # fmt: skip

    def __init__(
        self,
        *,
        name: str,
        code: Code | Iterable[Instruction],
        section: str = "",
        type: ProgramType | None = None,
        expected_attach_type: AttachType | None = None,
        attach_to: str | None = None,
        flags: int | None = None,
        license: str = "",
        autoload: bool | None = None,
        autoattach: bool | None = None,
        kernel_version: int = 0,
        btf: Btf | None = None,
    ) -> None:
        meant = parse_section(section)
        self.name = name
        self.section = section
        self.code = code if isinstance(code, Code) else Code.of(code)
        self.type = meant.type if type is None else type
        self.expected_attach_type = (
            meant.expected_attach_type if expected_attach_type is None else expected_attach_type
        )
        self.attach_to = meant.target if attach_to is None else attach_to
        self.flags = int(meant.flags) if flags is None else flags
        self.license = license
        self.autoload = (meant.autoload or type is not None) if autoload is None else autoload
        self.autoattach = meant.auto_attachable if autoattach is None else autoattach
        self.kernel_version = kernel_version
        self.btf = btf

    def __repr__(self) -> str:
        return f"<ProgramSpec {self.name!r} ({self.section}): {len(self.code)} instructions>"

    @property
    def meaning(self) -> Section:
        """What the section name means, in full."""
        return parse_section(self.section)

    def copy(self) -> Self:
        """Return a copy with code of its own; `btf` is shared."""
        values: dict[str, Any] = {name: getattr(self, name) for name in ProgramSpec.__slots__}
        values["code"] = self.code.copy()
        return type(self)(**values)

    def load(
        self,
        *,
        code: Code | None = None,
        btf_fd: FD | None = None,
        attach_btf_id: int | None = None,
        log_level: int = 0,
    ) -> Program:
        """Load the program into the kernel and return it live.

        *code* is `code` with its references filled in and CO-RE applied; it may be left out when
        there are none. *btf_fd* is `btf` in the kernel; with it function and line tables are
        passed along. *attach_btf_id* is looked up in the kernel's BTF from `attach_to` where the
        section asks for one. With *log_level* 1, 2 or 4 the log is asked for at once.

        Raises `VerifierError` (a `LoadError`) with the verifier's whole log, `PrivilegeError`
        naming the capability, `NotFoundError` when `attach_to` does not exist, `RangeError` when
        references are open. The first attempt asks for no log, which is faster; a refused
        program is verified again with one.
        """
        code = self.code if code is None else code
        if code is self.code and (code.references or code.core):
            message = f"program {self.name!r} refers to maps or kernel types that are not filled in"
            raise RangeError(message, hint="load it as part of its ObjectSpec", program=self.name)
        if attach_btf_id is None:
            attach_btf_id = self._target_id()
        arguments: dict[str, Any] = {
            "type": int(self.type),
            "insns": bytes(code.data),
            "license": self.license,
            "name": kernel_name(self.name),
            "expected_attach_type": int(self.expected_attach_type),
            "attach_btf_id": attach_btf_id,
            "flags": int(self.flags),
            "kern_version": self.kernel_version,
        }
        if btf_fd is not None:
            arguments["btf_fd"] = btf_fd
            if code.functions:
                arguments["func_info"] = b"".join([FUNC_INFO.pack(*row) for row in code.functions])
                arguments["func_info_rec_size"] = FUNC_INFO.size
                arguments["line_info"] = b"".join([LINE_INFO.pack(*row) for row in code.lines])
                arguments["line_info_rec_size"] = LINE_INFO.size
        if log_level == 0:
            try:
                return Program(bpf.prog_load(**arguments), self)
            except KernelError as error:
                if not _is_verdict(error):
                    raise self._named(error) from error
        return self._load_with_log(arguments, code, log_level or 1)

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
                if not log and not _is_verdict(error):
                    raise self._named(error) from error
                from skep.programs.failure import refused

                raise refused(self, code, error, log) from error
            return Program(fd, self)

    def _named(self, error: KernelError) -> KernelError:
        """Turn a failure that is not the verifier's into one that names program and section."""
        from skep.programs.failure import not_loaded

        return not_loaded(self, error)

    def _target_id(self) -> int:
        """Find the BTF id of what the program attaches to, 0 where none is needed."""
        if not self.meaning.btf_target:
            return 0
        from skep.programs.targets import target_id

        return target_id(self)


def kernel_name(name: str) -> str:
    """Return *name* as the kernel takes it: at most 15 of ``[A-Za-z0-9_.]``."""
    if name.isidentifier() and name.isascii():
        return name[:NAME_LENGTH]
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "_.") else "_" for c in name)
    return plain[:NAME_LENGTH]


def _is_verdict(error: KernelError) -> bool:
    """Whether the verifier may have something to say about *error*."""
    # A missing privilege, memory, interruption and bad pointers are not about the code.
    if isinstance(error, PrivilegeError):
        return False
    return error.errno not in (errno.ENOMEM, errno.EINTR, errno.EFAULT, errno.ENOSYS)
