"""Layouts and buffers, without a kernel."""

from __future__ import annotations

import array
import ctypes
import os
import subprocess
import sys

import numpy as np
import pytest

from skep.errors import RangeError, UnsupportedError
from skep.kernel import capabilities, syscall
from skep.kernel.bpf import ids, links, maps, programs
from skep.kernel.bpf.call import name_field, number_of, readable
from skep.kernel.bpf.failure import describe
from skep.kernel.constants import Command, MapType, ProgramType
from skep.kernel.features import FEATURES, feature
from skep.kernel.native import address_of
from skep.kernel.perf import PerfEventAttr


@pytest.mark.parametrize(
    "buffer",
    [
        b"bytes",
        bytearray(b"array"),
        memoryview(bytearray(b"view!")),
        array.array("B", b"array"),
        np.frombuffer(bytearray(b"numpy"), "u1"),
        ctypes.create_string_buffer(b"ctype", 5),
    ],
    ids=lambda buffer: type(buffer).__name__,
)
def test_address_of_reads_back(buffer: object) -> None:
    assert ctypes.string_at(address_of(buffer), 5) == bytes(memoryview(buffer))  # type: ignore[arg-type]


def test_subclass_of_bytes_has_an_address() -> None:
    class Key(bytes):
        __slots__ = ()

    key = Key(b"key")
    assert ctypes.string_at(address_of(key), 3) == b"key"


@pytest.mark.parametrize("empty", [b"", bytearray(), memoryview(b""), np.zeros(0)])
def test_nothing_has_the_null_address(empty: object) -> None:
    assert address_of(empty) == 0


def test_readable_copies_only_what_has_no_address() -> None:
    writable = bytearray(b"abc")
    assert readable(writable) is writable
    assert readable(b"abc") == b"abc"
    assert readable(memoryview(b"abc")) == b"abc"
    assert readable(memoryview(b"abcdef")[::2]) == b"ace"
    assert readable(np.arange(10, dtype="u1")[::2]) == bytes(range(0, 10, 2))
    with pytest.raises(TypeError):
        address_of(memoryview(b"abc"))


def test_attribute_sizes_are_the_kernels() -> None:
    """Offsets of `union bpf_attr` in include/uapi/linux/bpf.h, Linux 6.18."""
    create = maps._create_attr(1, 2, 3, 4, 5, 6, 7, b"name", 9, 10, 11, 12, 13, 14, 15, 16)
    assert len(create) == 80
    assert create[28:33] == b"name\0"
    assert create[64:72] == (14).to_bytes(8, "little")
    assert len(maps._element_attr(0, 0, 0, 0, 0)) == 32
    batch = maps._batch_attr(0, 0, 0, 0, 1000, 0, 0, 0)
    assert len(batch) == 56
    assert batch[maps._COUNT_OFFSET :][:4] == (1000).to_bytes(4, "little")
    numbers: list[int | bytes] = list(range(100, 128))
    numbers[9] = b"name"
    load = programs._load_attr(*numbers)
    assert len(load) == programs._LOAD_SIZE
    assert load[48:53] == b"name\0"
    assert load[64:68] == (110).to_bytes(4, "little")  # prog_ifindex
    assert load[112:116] == (120).to_bytes(4, "little")  # attach_prog_fd
    assert load[120:128] == (122).to_bytes(8, "little")  # fd_array
    assert load[programs._LOG_TRUE_SIZE :][:4] == (125).to_bytes(4, "little")
    assert load[144:148] == (126).to_bytes(4, "little")  # prog_token_fd
    assert len(ids._btf_attr(*range(8))) == 40
    assert len(links._raw_attr(0, 0, 0, 0)) == 24
    assert len(links._head(0, 0, 0, 0)) == 16


def test_perf_attr_places_its_fields() -> None:
    attr = PerfEventAttr(
        type=8,
        config=1,
        frequency=99,
        sample_type=1024,
        wakeup_events=7,
        config1=b"/bin/sh\0",
        config2=0x1234,
        disabled=True,
        exclude_kernel=True,
    )
    data = attr.data
    assert len(data) == 112
    assert int.from_bytes(data[0:4], "little") == 8
    assert int.from_bytes(data[4:8], "little") == 112
    assert int.from_bytes(data[16:24], "little") == 99
    assert int.from_bytes(data[40:48], "little") == 1 | 1 << 5 | 1 << 10
    assert int.from_bytes(data[48:52], "little") == 7
    assert ctypes.string_at(int.from_bytes(data[56:64], "little")) == b"/bin/sh"
    assert int.from_bytes(data[64:72], "little") == 0x1234


@pytest.mark.parametrize("name", ["a", "under_score", "with.dot", "fifteen_letters", ""])
def test_names_that_fit(name: str) -> None:
    assert name_field(name) == name.encode()


@pytest.mark.parametrize("name", ["sixteen_letters_", "white space", "ü", "²", "a-b", "x\0"])
def test_names_that_do_not(name: str) -> None:
    with pytest.raises(RangeError, match="not a name the kernel takes"):
        name_field(name)


def test_numbers_of_descriptors() -> None:
    assert number_of(None) == 0
    assert number_of(None, -1) == -1
    assert number_of(7) == 7


@pytest.mark.parametrize("code", [1, 2, 7, 13, 22, 28, 524, 9999])
def test_every_failure_is_one_sentence(code: int) -> None:
    for command in Command:
        error = describe(command, "map 'x'", code, type=1)
        text = str(error)
        assert "map 'x'" in text
        assert "\n" not in text
        assert error.errno == code
        assert error.evidence["call"] == f"BPF_{command.name}"


def test_capabilities_of_kinds() -> None:
    tracing = ("CAP_BPF", "CAP_PERFMON")
    assert capabilities.program_capabilities(ProgramType.TRACEPOINT) == tracing
    assert capabilities.program_capabilities(ProgramType.XDP) == ("CAP_BPF", "CAP_NET_ADMIN")
    assert capabilities.program_capabilities(ProgramType.SYSCALL) == ("CAP_BPF",)
    assert capabilities.program_capabilities(9999) == ("CAP_BPF",)
    assert capabilities.map_capabilities(MapType.HASH) == ("CAP_BPF",)
    assert capabilities.map_capabilities(MapType.DEVMAP) == ("CAP_BPF", "CAP_NET_ADMIN")
    with pytest.raises(RangeError, match="'CAP_FLY' is not a capability"):
        capabilities.have("CAP_FLY")


@pytest.mark.parametrize(
    ("original", "argv", "line"),
    [
        (
            ["/usr/bin/python3", "/usr/bin/skep", "runqlat", "-m"],
            ["/usr/bin/skep", "runqlat", "-m"],
            "sudo skep runqlat -m",
        ),
        (
            ["/v/bin/python3", "/v/bin/skep", "run", "a b"],
            ["/v/bin/skep", "run", "a b"],
            "sudo /v/bin/skep run 'a b'",
        ),
        (
            ["python3", "-m", "skep", "runqlat"],
            ["/lib/skep/__main__.py", "runqlat"],
            f"sudo {sys.executable} -m skep runqlat",
        ),
        (["python3", "-c", "import skep\nx"], ["-c"], "sudo python3 -c ..."),
        (["python3"], [""], f"sudo {sys.executable}"),
    ],
)
def test_command_line_as_typed(
    monkeypatch: pytest.MonkeyPatch, original: list[str], argv: list[str], line: str
) -> None:
    monkeypatch.setattr(sys, "orig_argv", original)
    monkeypatch.setattr(sys, "argv", argv)
    assert capabilities.command_line() == line


def test_features_are_named() -> None:
    for name, entry in FEATURES.items():
        assert entry.name == name
        assert entry.minimum >= (4, 0)
        assert entry.title
    assert repr(feature("ringbuf")).startswith("<Feature ringbuf: ")
    with pytest.raises(LookupError, match="no kernel feature 'warp'"):
        feature("warp")


def test_system_call_that_is_unknown() -> None:
    with pytest.raises(UnsupportedError, match="system call nonesuch is not available"):
        syscall.number("nonesuch")
    assert "[ENOENT]" in syscall.error_text(2)
    assert "[9999]" in syscall.error_text(9999)


def test_machines_know_the_same_calls() -> None:
    assert syscall._X86_64.keys() == syscall._AARCH64.keys()
    for name, number in syscall._X86_64.items():
        if number >= 424:  # the numbering is common from here on
            assert syscall._AARCH64[name] == number


def test_importing_works_where_the_kernel_cannot_be_called() -> None:
    """Specs are parsed on any system, so importing must not need a known machine."""
    code = (
        "import os\n"
        "name = os.uname()\n"
        "other = os.uname_result((*name[:4], 'riscv64'))\n"
        "os.uname = lambda: other\n"
        "from skep.kernel import bpf, memory, perf, features\n"
        "try: bpf.map_create(type=1, key_size=4, value_size=4, max_entries=1)\n"
        "except NotImplementedError as error: print(error)\n"
    )
    source = os.path.dirname(os.path.dirname(os.path.dirname(capabilities.__file__)))
    environment = {**os.environ, "PYTHONPATH": source}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert "the system call bpf is not available on linux riscv64" in result.stdout


def test_load_path_imports_nothing_slow() -> None:
    code = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "from skep.kernel import bpf, perf, memory, cpus, constants, tracefs, release\n"
        "print(*sorted(set(sys.modules) - before))\n"
    )
    source = os.path.dirname(os.path.dirname(os.path.dirname(capabilities.__file__)))
    environment = {**os.environ, "PYTHONPATH": source}
    result = subprocess.run(
        [sys.executable, "-S", "-c", code],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    loaded = set(result.stdout.split())
    slow = {"typing", "dataclasses", "re", "pathlib", "contextlib", "inspect", "numpy", "logging"}
    assert not loaded & (slow | {"asyncio", "subprocess", "warnings"})
    assert not loaded & {"skep.kernel.bpf.failure", "skep.kernel.late_constants"}


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_ordered_access_on_both_machines(machine: str) -> None:
    """The arm64 functions take barriers; they must still load and store the right words."""
    code = (
        "import ctypes, os\n"
        "name = os.uname()\n"
        f"other = os.uname_result((*name[:4], {machine!r}))\n"
        "os.uname = lambda: other\n"
        "from skep.kernel import memory\n"
        "word = ctypes.c_uint64(0)\n"
        "address = ctypes.addressof(word)\n"
        "memory.store_u64(address, 0x1122334455667788)\n"
        "memory.fence()\n"
        "assert memory.load_u64(address) == word.value == 0x1122334455667788\n"
        "assert memory.load_u32(address) == 0x55667788\n"
        "print(memory._ORDERED)\n"
    )
    source = os.path.dirname(os.path.dirname(os.path.dirname(capabilities.__file__)))
    environment = {**os.environ, "PYTHONPATH": source}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert result.stdout.strip() == str(machine == "x86_64")
