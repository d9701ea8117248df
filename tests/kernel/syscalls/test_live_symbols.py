"""The kernel's symbols, options and modules, compared with what grep and uname say."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from unprivileged import Refusal, in_child

from skep.errors import FormatError, NotFoundError, UnsupportedError
from skep.kernel import kallsyms, kconfig, module_btf
from skep.kernel.release import stable_version, version_code


def grep(pattern: str) -> list[str]:
    lines = Path("/proc/kallsyms").read_text().splitlines()
    return [line for line in lines if re.search(pattern, line)]


def test_addresses_are_greps() -> None:
    found = kallsyms.symbols(["bpf_prog_put", "schedule", "skep_not_there", "bpf_prog"])
    assert list(found) == ["bpf_prog_put", "schedule"]
    for name, (symbol,) in found.items():
        (line,) = grep(rf" {name}$")
        assert line.split()[:2] == [f"{symbol.address:016x}", symbol.kind]
        assert (symbol.name, symbol.module) == (name, "")
        assert symbol.address > 0


def test_every_symbol_of_a_name_is_found() -> None:
    lines = grep(r" t [a-z_]+$")
    ((name, _),) = Counter(line.split()[2] for line in lines).most_common(1)
    assert len(kallsyms.symbols([name])[name]) == len(grep(rf" {name}(\t|$)")) > 1


def test_symbols_of_modules_renamed_and_strange(tmp_path: Path) -> None:
    file = tmp_path / "kallsyms"
    file.write_text(
        "0000000000000000 A percpu\n"
        "ffffffff81000000 T _stext\n"
        "ffffffff81000010 t renamed.llvm.123456\n"
        "ffffffff81000020 t both.llvm.99\n"
        "ffffffff81000030 t both\n"
        "ffffffffc0000000 t of_module\t[nf_conntrack]\n"
        "ffffffffc0000010 T last"
    )
    names = ["renamed", "both", "of_module", "last", "percpu", "_stex", "", "a b", "stext"]
    found = kallsyms.symbols(names, source=str(file))
    assert {name: [s.address & 0xFF for s in hits] for name, hits in found.items()} == {
        "renamed": [0x10], "both": [0x30], "of_module": [0], "last": [0x10], "percpu": [0],
    }  # fmt: skip
    assert found["of_module"][0].module == "nf_conntrack"
    assert kallsyms.has_prefix("of_mod", source=str(file))
    assert not kallsyms.has_prefix("module", source=str(file))


def test_prefixes_are_found_across_the_borders_of_reads(tmp_path: Path) -> None:
    file = tmp_path / "kallsyms"
    line = b"ffffffff81000000 T filler\n"
    for shift in range(12):
        start = (1 << 18) - shift
        data = (line * (start // len(line) + 1))[:start] + b" __x64_sys_read\n" + line * 10
        file.write_bytes(data)
        assert kallsyms.has_prefix("__x64_sys_", source=str(file)), shift
        assert not kallsyms.has_prefix("__x64_sysx", source=str(file))


def test_no_symbols_at_all(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="CONFIG_KALLSYMS"):
        kallsyms.symbols(["x"], source=str(tmp_path / "none"))


def ask() -> int:
    return kallsyms.symbols(["schedule"])["schedule"][0].address


def test_hidden_addresses_are_explained() -> None:
    """With kernel.kptr_restrict 0 and kernel.perf_event_paranoid 2, as kernels start."""
    seen = in_child(ask)
    if int(Path("/proc/sys/kernel/perf_event_paranoid").read_text()) > 1:
        assert isinstance(seen, Refusal)
        assert seen.kinds[0] == "PrivilegeError"
        said = "reading the address of schedule from /proc/kallsyms needs CAP_SYSLOG"
        assert seen.text.startswith(said)
    else:
        assert seen == ask()


def test_one_capability_shows_them() -> None:
    assert in_child(ask, "CAP_SYSLOG") == int(grep(r" schedule$")[0].split()[0], 16)


def test_options_are_those_of_the_file() -> None:
    config = kconfig.kernel_config()
    path = Path(config.path)
    assert config.path in kconfig.places(os.uname().release)
    text = path.read_bytes()
    lines = (gzip.decompress(text) if path.suffix == ".gz" else text).decode().splitlines()
    pairs = dict(line.split("=", 1) for line in lines if line.startswith("CONFIG_"))
    assert len(pairs) > 500
    assert config.names() == list(pairs)
    for name, raw in pairs.items():
        assert config.raw(name) == raw
        value = config.value(name)
        if raw in ("y", "m"):
            assert value == (True if raw == "y" else "m")
        elif raw[0] == '"':
            assert isinstance(value, str)
        else:
            assert value == int(raw, 0)
    off = next(line.split()[1] for line in lines if line.endswith(" is not set"))
    assert (config.is_off(off), config.raw(off), config.value(off)) == (True, None, None)
    assert not config.is_off("CONFIG_SKEP_UNHEARD_OF")
    assert config.raw("CONFIG_BPF_SYSCAL") is None
    assert kconfig.kernel_config() is config


def test_every_place_is_tried_and_named(tmp_path: Path) -> None:
    plain, packed, broken = (tmp_path / name for name in ("config-1", "config.gz", "broken.gz"))
    plain.write_text("CONFIG_X=7\n")
    packed.write_bytes(gzip.compress(b"# a comment\nCONFIG_X=8\n"))
    broken.write_bytes(b"\x1f\x8bnot really gzip")
    (tmp_path / "empty").write_text("nothing here\n")
    places = [str(tmp_path / name) for name in ("none", "empty", "broken.gz", "config.gz")]
    assert kconfig.first_of([str(plain), *places], "1").value("CONFIG_X") == 7
    config = kconfig.first_of(places, "1")
    assert (config.value("CONFIG_X"), config.path) == (8, str(packed))
    assert [path for path, _ in config.tried] == places[:3]
    with pytest.raises(NotFoundError) as caught:
        kconfig.first_of(places[:3], "1.2.3")
    for place in places[:3]:
        assert place in caught.value.message
    assert "1.2.3" in caught.value.message


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    bomb = tmp_path / "config.gz"
    bomb.write_bytes(gzip.compress(b"CONFIG_X=7\n" + bytes(kconfig.MAX_TEXT)))
    with pytest.raises(FormatError, match="bytes of text"):
        kconfig.read_file(str(bomb))


@pytest.mark.parametrize(
    ("release", "version", "signature", "expected"),
    [
        ("6.18.44-fc", "#1 SMP", "", (6, 18, 44)),
        ("6.1.0-28-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.119-1 (2024-11-22)", "", (6, 1, 119)),
        ("5.15.0-9-generic", "#9-Ubuntu", "Ubuntu 5.15.0-91.101-generic 5.15.131", (5, 15, 131)),
        ("7.0.0+", "#1", "", (7, 0, 0)),
    ],
)  # fmt: skip
def test_the_stable_version_is_found(
    release: str, version: str, signature: str, expected: tuple[int, int, int]
) -> None:
    assert stable_version(release, version, signature) == expected


def test_the_version_code_is_this_kernels() -> None:
    major, minor = (int(word) for word in os.uname().release.split(".")[:2])
    assert version_code() >> 8 == major << 8 | minor


def test_a_module_that_is_not_there() -> None:
    with pytest.raises(NotFoundError, match="no BTF of a module 'skep_no_module'"):
        module_btf.module_btf_fd("skep_no_module")
    with module_btf.module_btf_fd("vmlinux") as fd:  # the kernel's own is called so
        assert fd.fileno() > 0


def test_nothing_of_this_is_imported_for_objects_that_have_no_externs() -> None:
    code = "import skep.object.load, skep.object.parse, sys; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lazy = {"kernel.kallsyms", "kernel.kconfig", "kernel.module_btf", "object.extern_link"}
    assert not {f"skep.{name}" for name in lazy} & set(shown.stdout.split())
