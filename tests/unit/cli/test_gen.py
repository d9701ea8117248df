"""``skep gen``: where it writes, what it leaves alone, and what --check says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from skep import cli
from skep.bindings.write import MARK

ROOT = Path(__file__).parents[3]
TOOL = ROOT / "src" / "skep" / "tools" / "syscount" / "syscount.bpf.o"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one object, in which the commands run."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(TOOL, tmp_path / "my-prog.bpf.o")
    return tmp_path


def run(*arguments: str, capfd: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    status = cli.run(["gen", *arguments])
    said = capfd.readouterr()
    return status, said.out, said.err


def test_the_module_is_written_beside_the_object(
    here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("my-prog.bpf.o", capfd=capfd) == (0, "my_prog.py\n", "")
    text = (here / "my_prog.py").read_text()
    assert text.startswith('"""What my-prog.bpf.o has: its maps, programs and variables')
    assert '    "my-prog.bpf.o",\n' in text
    assert run("my-prog.bpf.o", "--check", capfd=capfd) == (0, "", "")
    assert run("my-prog.bpf.o", "-o", "-", capfd=capfd) == (0, text, "")


def test_elsewhere_it_finds_the_object_by_a_relative_path(
    here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (here / "pkg" / "deep").mkdir(parents=True)
    out = "pkg/deep/prog.py"
    assert run("my-prog.bpf.o", "-o", out, capfd=capfd) == (0, f"{out}\n", "")
    text = (here / out).read_text()
    assert '    "../../my-prog.bpf.o",\n' in text
    os.chdir(here / "pkg")  # the same bytes, wherever it is called
    given = ("../my-prog.bpf.o", "-o", "deep/prog.py", "--check")
    assert run(*given, capfd=capfd) == (0, "", "")
    assert run(str(here / "my-prog.bpf.o"), "-o", str(here / out), "--check", capfd=capfd)[0] == 0


def test_a_module_out_of_date(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run("my-prog.bpf.o", "-o", "prog.py", capfd=capfd)
    path = here / "prog.py"
    path.write_text(path.read_text().replace("    total_ns: int\n", "    total: int\n", 1))
    changed = path.read_text()
    assert run("my-prog.bpf.o", "-o", "prog.py", "--check", capfd=capfd) == (
        1,
        "",
        (
            "skep: prog.py is not what my-prog.bpf.o gives:\n"
            "  - total: int\n"
            "  + total_ns: int\n"
            "write it anew: skep gen my-prog.bpf.o -o prog.py\n"
        ),
    )
    assert path.read_text() == changed  # a check writes nothing
    assert run("my-prog.bpf.o", "-o", "none.py", "--check", capfd=capfd)[0] == 1
    assert not (here / "none.py").exists()
    assert run("my-prog.bpf.o", "-o", "prog.py", capfd=capfd)[0] == 0
    assert run("my-prog.bpf.o", "-o", "prog.py", "--check", capfd=capfd) == (0, "", "")


def test_a_file_of_somebody_else_is_left_alone(
    here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (here / "my_prog.py").write_text("print('mine')\n")
    status, out, err = run("my-prog.bpf.o", capfd=capfd)
    assert (status, out) == (1, "")
    assert err == (
        "skep: my_prog.py was not written by skep gen, so it is left as it is"
        " (name another file with -o, or remove it first)\n"
    )
    assert (here / "my_prog.py").read_text() == "print('mine')\n"


def test_embedded(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("my-prog.bpf.o", "--embed", capfd=capfd)[0] == 0
    assert run("my-prog.bpf.o", "--embed", "--check", capfd=capfd) == (0, "", "")
    status, _, err = run("my-prog.bpf.o", "--check", capfd=capfd)
    assert status == 1
    assert err.splitlines()[1] == '  - embedded="""'
    assert err.splitlines()[-2].endswith("lines more")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("no.bpf.o",), "there is no object file no.bpf.o"),
        (("/dev/zero",), "zero is not an ELF file"),  # and has no end
        (("my-prog.bpf.o", "-o", "-", "--check"), "--check needs a module to compare with"),
        (("my-prog.bpf.o", "--type", "nothing"), "has no struct called 'nothing'"),
        (("my-prog.bpf.o", "-o", "no/such/folder.py"), "No such file or directory"),
    ],
)
def test_failures_are_one_sentence(
    arguments: tuple[str, ...], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(*arguments, capfd=capfd)
    assert (status, out) == (1, "")
    assert message in err
    assert err.count("\n") == 1
    assert "bug" not in err


def test_a_full_disk_leaves_the_old_module(here: Path) -> None:
    """The limit of a file's size stands for a disk that fills up after half of it."""
    (here / "prog.py").write_text('"""Old."""\n# ' + MARK + "\n")
    before = (here / "prog.py").read_text()
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096));"
        "from skep.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", code, "gen", "my-prog.bpf.o", "-o", "prog.py"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("prog.py: File too large\n")
    assert (here / "prog.py").read_text() == before
    assert sorted(os.listdir(here)) == ["my-prog.bpf.o", "prog.py"]


def test_what_is_rewritten_keeps_its_mode_and_its_link(
    here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (here / "real.py").write_text(f"# {MARK}\n")
    (here / "real.py").chmod(0o640)
    (here / "prog.py").symlink_to("real.py")
    assert run("my-prog.bpf.o", "-o", "prog.py", capfd=capfd)[0] == 0
    assert (here / "prog.py").is_symlink()
    assert (here / "real.py").stat().st_mode & 0o777 == 0o640
    assert "class Opened" in (here / "real.py").read_text()


@pytest.mark.parametrize("name", ["socket", "types", "skep", "numpy"])
def test_no_module_of_python_is_hidden(
    name: str, here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (here / "my-prog.bpf.o").rename(here / f"{name}.bpf.o")
    assert run(f"{name}.bpf.o", capfd=capfd) == (0, f"{name}_bpf.py\n", "")
    assert run(f"{name}.bpf.o", "-o", f"{name}.py", capfd=capfd) == (0, f"{name}.py\n", "")
