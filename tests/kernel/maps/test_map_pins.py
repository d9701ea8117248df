"""Pins: made, opened, removed, compared; and what is said when one of it cannot be done."""

from __future__ import annotations

import errno
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import private_mounts
import pytest
from unprivileged import in_child

import skep
from skep.errors import (
    KernelError,
    LoadError,
    MapError,
    NotFoundError,
    SkepError,
    TypeMismatchError,
)
from skep.kernel import bpf
from skep.kernel.constants import MapFlags, MapType
from skep.kernel.cpus import possible_cpus
from skep.maps import diagnose
from skep.maps.diagnose.types import differences
from skep.maps.map import Map
from skep.maps.spec import MapSpec
from skep.maps.system import sides
from skep.maps.types.array import ArrayMap

if TYPE_CHECKING:
    from pathlib import Path

    from compiling import CompileBpf

SOURCE = """// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <skep/bpf.h>

char LICENSE[] SEC("license") = "GPL";

struct caller {
	MEMBERS
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct caller);
} callers SEC(".maps");

SEC("syscall")
int touch(void *context)
{
	__u32 key = 1;

	return bpf_map_lookup_elem(&callers, &key) != 0;
}
"""


def object_with(compile_bpf: CompileBpf, members: str) -> skep.ObjectSpec:
    return skep.ObjectSpec.from_file(str(compile_bpf(SOURCE.replace("MEMBERS", members))))


def spec(**changes: Any) -> MapSpec:
    values: dict[str, Any] = {
        "name": "counts",
        "type": MapType.HASH,
        "key": "u32",
        "value": "u64",
        "max_entries": 8,
    }
    return MapSpec(**{**values, **changes})


def test_a_pinned_map_is_opened_with_its_types_and_unpinned(bpffs: Path) -> None:
    path = f"{bpffs}/counts"
    with spec().create() as counts:
        counts[1] = 5
        counts.pin(path)
        with Map.from_pin(path) as again:
            assert (again[1], again.name, again.id) == (5, "counts", counts.id)
            assert again.fd.what == f"map 'counts' pinned at {path}"
            again.unpin(path)
        assert not os.path.exists(path)
        assert counts[1] == 5
        with pytest.raises(KernelError, match=f"no map is pinned at {path}") as caught:
            counts.unpin(path)
        assert caught.value.errno == errno.ENOENT


def test_unpin_leaves_the_pin_of_another(bpffs: Path) -> None:
    path = f"{bpffs}/counts"
    with spec().create() as counts, spec(name="other").create() as other:
        other.pin(path)
        with pytest.raises(NotFoundError) as caught:
            counts.unpin(path)
        assert caught.value.message == (
            f"map 'counts' (hash) is not pinned at {path}: "
            f"that is map 'other' (hash, id {other.id})"
        )
        assert os.path.exists(path)
        other.unpin(path)


def test_a_pin_outlives_its_map(bpffs: Path) -> None:
    path = f"{bpffs}/counts"
    with spec().create() as counts:
        counts[1] = 5
        counts.pin(path)
    with Map.from_pin(path, flags=MapFlags.RDONLY) as again:
        assert again[1] == 5
        with pytest.raises(MapError, match=r"may only read \(BPF_F_RDONLY\)"):
            again[1] = 6
        again.unpin(path)


def test_why_a_map_cannot_be_pinned(bpffs: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()

    def refusal(path: object, number: int) -> KernelError:
        with pytest.raises(KernelError) as caught:
            counts.pin(str(path))
        error = caught.value
        assert error.errno == number
        assert error.message.startswith(f"map 'counts' (hash) cannot be pinned at {path}: ")
        assert error.call == "BPF_OBJ_PIN"
        return error

    with spec().create() as counts, spec(name="other").create() as other:
        other.pin(f"{bpffs}/taken")
        error = refusal(f"{bpffs}/taken", errno.EEXIST)
        assert f"there is map 'other' (hash, id {other.id}) already" in error.message
        assert "unpin it first" in error.hint
        os.unlink(f"{bpffs}/taken")

        error = refusal(f"{plain}/counts", errno.EPERM)
        assert f"{plain} is on a file system of type " in error.message
        assert "and pins live on one of type bpf" in error.message
        assert "mount -t bpf bpf /sys/fs/bpf" in error.hint

        error = refusal(f"{bpffs}/a/b/counts", errno.ENOENT)
        assert error.message.endswith(f"there is no folder {bpffs}/a")
        assert error.hint == f"os.makedirs('{bpffs}/a/b')"
        os.makedirs(f"{bpffs}/a/b")
        counts.pin(f"{bpffs}/a/b/counts")
        counts.unpin(f"{bpffs}/a/b/counts")
        os.rmdir(f"{bpffs}/a/b")
        os.rmdir(f"{bpffs}/a")

        error = refusal(f"{bpffs}/my.counts", errno.EPERM)
        assert error.message.endswith("a bpf file system takes no name with a dot")
        assert error.hint == "call it my_counts"

        (plain / "file").write_text("")
        error = refusal(f"{plain}/file/counts", errno.ENOTDIR)
        assert error.message.endswith(f"a part of {plain}/file is a file")


def test_what_is_no_map_is_not_opened_as_one(
    compile_bpf: CompileBpf, bpffs: Path, tmp_path: Path
) -> None:
    path = f"{bpffs}/program"
    described = object_with(compile_bpf, "__u64 calls;")
    described.maps["callers"].pinning = "none"
    with described.load() as loaded:
        loaded.programs["touch"].pin(path)
    with pytest.raises(TypeMismatchError, match=f"what is pinned at {path} is a program, not a m"):
        Map.from_pin(path)
    os.unlink(path)
    (tmp_path / "file").write_text("")
    with pytest.raises(KernelError, match=r"is on a file system of type .*, and pins live on"):
        Map.from_pin(f"{tmp_path}/file")


def test_a_class_opens_only_its_own(bpffs: Path) -> None:
    path = f"{bpffs}/counts"
    with spec().create() as counts:
        counts.pin(path)
        with pytest.raises(TypeMismatchError, match="is a hash, which is a Map, not a ArrayMap"):
            ArrayMap.from_pin(path)
        counts.unpin(path)
    with spec(type="array").create() as array, ArrayMap.from_id(array.id) as again:
        assert len(again) == 8


# Pin by name


def test_pin_by_name_shares_one_map(compile_bpf: CompileBpf, system_bpffs: str) -> None:
    described = object_with(compile_bpf, "__u64 calls; char comm[16];")
    with described.load() as first:
        first.maps["callers"][1] = (5, "init")
        with described.load() as second:
            assert second.maps["callers"][1].calls == 5
            assert second.maps["callers"].id == first.maps["callers"].id
        first.maps["callers"].unpin(f"{system_bpffs}/callers")


def test_every_difference_of_shape_is_listed(bpffs: Path) -> None:
    path = f"{bpffs}/counts"
    with spec(pinning="by_name").create(pin_root=str(bpffs)) as counts:
        other = spec(
            pinning="by_name",
            type=MapType.LRU_HASH,
            key="u64",
            value="u32",
            max_entries=16,
            flags=MapFlags.RDONLY_PROG,
        )
        with pytest.raises(LoadError) as caught:
            other.create(pin_root=str(bpffs))
        error = caught.value
        assert error.evidence["differences"][:5] == [
            "type hash, expected lru_hash",
            "key size 4, expected 8",
            "value size 8, expected 4",
            "max_entries 8, expected 16",
            "flags none, expected RDONLY_PROG",
        ]
        assert f"the map pinned at {path} (id {counts.id}) is another than 'counts'" in str(error)
        assert error.errno == errno.EEXIST
        counts.unpin(path)


@pytest.mark.parametrize(
    ("pinned", "wanted", "differs"),
    [
        ("__u64 calls; char comm[16];", "char comm[16]; __u64 calls;", True),
        ("__u64 calls; char comm[16];", "__s64 calls; char comm[16];", True),
        ("__u64 calls; char comm[16];", "__u64 count; char comm[16];", True),
        ("__u32 a; __u64 b;", "__u64 a; __u32 b;", True),
        ("__u32 a:5, b:27;", "__u32 a:6, b:26;", True),
        ("__u64 calls; char comm[16];", "unsigned long calls; char comm[16];", False),
        ("__u64 calls; char comm[16];", "__u64 calls; __u8 comm[16];", True),
    ],
)
def test_layouts_are_compared_member_by_member(
    compile_bpf: CompileBpf, bpffs: Path, pinned: str, wanted: str, differs: bool
) -> None:
    root = str(bpffs)
    with object_with(compile_bpf, pinned).maps["callers"].create(pin_root=root) as first:
        assert first.info.btf_id
        second = object_with(compile_bpf, wanted).maps["callers"]
        if not differs:
            second.create(pin_root=root).close()
        else:
            with pytest.raises(LoadError) as caught:
                second.create(pin_root=root)
            error = caught.value
            assert error.evidence["differences"] == ["the layout of its values"]
            assert error.evidence["expected_layout"].type_name == "struct caller"
            assert error.evidence["given_layout"].size == error.evidence["expected_layout"].size
            assert "\nvalue:\n" in error.message
            for declared in (pinned, wanted):
                first_member = declared.partition(";")[0].split(",")[0].replace(":", " :")
                assert first_member.split()[1] in error.message
        first.unpin(f"{bpffs}/callers")


def test_what_the_kernel_changes_by_itself_is_no_difference(bpffs: Path) -> None:
    cpus = possible_cpus()
    specs = [
        spec(
            name="lru",
            type=MapType.LRU_HASH,
            max_entries=8 * cpus - 1,
            flags=MapFlags.NO_COMMON_LRU,
        ),
        MapSpec(name="ring", type=MapType.RINGBUF, max_entries=4096),
        MapSpec(name="per_cpu", type="percpu_hash", key="u32", value="u64", max_entries=8),
        MapSpec(name="devices", type="devmap", key_size=4, value_size=4, max_entries=8),
        MapSpec(name="events", type="perf_event_array", key_size=4, value_size=4),
        spec(name="read_only", flags=MapFlags.RDONLY),
    ]
    for one in specs:
        one.pinning = "by_name"
        with one.create(pin_root=str(bpffs)) as first, one.create(pin_root=str(bpffs)) as second:
            assert first.id == second.id
            with sides.view(first.fd.dup()) as view:
                assert [*differences(view, one)] == []
            second.unpin(f"{bpffs}/{one.name}")


def test_from_pin_compares_with_what_is_expected(bpffs: Path) -> None:
    path = f"{bpffs}/counts"
    with spec(name="counts_with_a_long_name").create() as counts:
        counts.pin(path)
        with Map.from_pin(path, expect=spec(name="counts_with_a_long_name")) as again:
            assert again.name == "counts_with_a_long_name"  # the kernel keeps 15 characters
            again[1] = 5
            assert counts[1] == 5
        with pytest.raises(LoadError, match="entries 8, expected 9"):
            Map.from_pin(path, expect=spec(max_entries=9))
        counts.unpin(path)


def test_of_processes_that_pin_by_name_at_once_all_get_one_map(bpffs: Path) -> None:
    for round in range(20):
        start = threading.Barrier(4)
        ids: list[int] = []
        failed: list[BaseException] = []

        def create(
            round: int = round, start: Any = start, ids: Any = ids, failed: Any = failed
        ) -> None:
            start.wait()
            try:
                with spec(name=f"m{round}", pinning="by_name").create(pin_root=str(bpffs)) as one:
                    ids.append(one.id)
            except BaseException as error:  # noqa: BLE001 - told to the main thread
                failed.append(error)

        threads = [threading.Thread(target=create) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failed
        assert len(set(ids)) == 1
        os.unlink(f"{bpffs}/m{round}")


def test_a_link_to_nothing_in_place_of_the_pin_is_an_error(bpffs: Path) -> None:
    """There it is when a pin is to be made, and not when it is opened: that went on for ever."""
    (bpffs / "counts").symlink_to(bpffs / "gone")
    with pytest.raises(KernelError, match="already") as caught:
        spec(pinning="by_name").create(pin_root=str(bpffs))
    assert caught.value.errno == errno.EEXIST
    os.unlink(bpffs / "counts")


def test_entries_that_the_kernel_chose_are_known_of_a_pin_too(bpffs: Path) -> None:
    events = MapSpec(name="events", type="perf_event_array", pinning="by_name")
    with events.create(pin_root=str(bpffs)) as one, events.create(pin_root=str(bpffs)) as two:
        assert one.id == two.id
        assert one.spec.max_entries == two.spec.max_entries == possible_cpus()
        with Map.from_pin(f"{bpffs}/events", expect=MapSpec(name="events", type=events.type)) as it:
            assert it.spec.max_entries == possible_cpus()
        one.unpin(f"{bpffs}/events")


def test_without_the_right_to_read_its_types_a_pin_opens_untyped(
    bpffs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CAP_BPF opens pins; their BTF, by its id, only CAP_SYS_ADMIN."""

    def attempt() -> dict[str, Any]:
        found: dict[str, Any] = {}
        with Map.from_pin("counts") as counts:
            found["bytes"] = counts[b"\1\0\0\0"]
            found["missing"] = counts.spec.untyped and counts.spec.untyped.evidence["missing"]
            for name, call in (
                ("key", lambda: counts[1]),
                ("column", lambda: counts.update([1], [2])),
                ("order", lambda: counts.bind(byteorder="big")),
            ):
                try:
                    call()
                except SkepError as error:
                    found[name] = str(error)
            found["bound"] = counts.bind(np.dtype("u4"), np.dtype("u8"))[1]
        with Map.from_pin("counts", expect=spec()) as counts:
            found["expected"] = counts[1], counts.spec.untyped
        with spec(pinning="by_name").create(pin_root=".") as counts:
            found["by name"] = counts[1]
        try:
            Map.from_pin("counts", expect=spec(max_entries=9)).close()
        except LoadError as error:
            found["another"] = error.evidence["differences"]
        with sides.view(bpf.obj_get("counts")) as view:
            found["check"] = [
                (one.code, one.text, one.evidence) for one in diagnose.check(view)
                if one.code == "no-btf"
            ]  # fmt: skip
        return found

    with spec().create() as counts:
        counts[1] = 5
        counts.pin(f"{bpffs}/counts")
        assert counts.spec.untyped is None
        os.chmod(f"{bpffs}/counts", 0o666)
        monkeypatch.chdir(bpffs)  # the folders above are the user's own
        found = in_child(attempt, "CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN")
        counts.unpin(f"{bpffs}/counts")
    assert isinstance(found, dict), found
    assert found["bytes"] == (5).to_bytes(8, sys.byteorder)
    assert "CAP_SYS_ADMIN" in found["missing"]
    for name in ("key", "column", "order"):
        assert "its types could not be read" in found[name]
        assert "CAP_SYS_ADMIN" in found[name]
    assert found["bound"] == 5
    assert found["expected"] == (5, None)
    assert found["by name"] == 5
    assert found["another"] == ["max_entries 8, expected 9"]
    ((_, text, evidence),) = found["check"]
    assert "the map has BTF, which could not be read" in text
    assert "CAP_SYS_ADMIN" in evidence["missing"]


NOT_MOUNTED = """
from skep.errors import KernelError
from skep.maps.map import Map
from skep.maps.spec import MapSpec
spec = MapSpec(name="counts", type="hash", key="u32", value="u64", max_entries=8)
with spec.create() as counts:
    for attempt in (lambda: counts.pin("/sys/fs/bpf/counts"),
                    lambda: counts.pin("/sys/fs/bpf/mine/counts"),
                    lambda: Map.from_pin("/sys/fs/bpf/counts")):
        try:
            attempt()
        except KernelError as error:
            print(error)
"""


def test_without_a_bpf_file_system_it_says_how_to_get_one() -> None:
    result = private_mounts.python(NOT_MOUNTED, empty="/sys/fs/bpf")
    assert result.returncode == 0, result.stderr
    first, second, third = result.stdout.splitlines()
    assert first == (
        "map 'counts' (hash) cannot be pinned at /sys/fs/bpf/counts: /sys/fs/bpf is on a file"
        " system of type tmpfs, and pins live on one of type bpf"
        " (pin it below /sys/fs/bpf; if that is empty: mount -t bpf bpf /sys/fs/bpf)"
    )
    assert "there is no folder /sys/fs/bpf/mine (no bpf file system is mounted there" in second
    assert third.startswith("no map is pinned at /sys/fs/bpf/counts (no bpf file system is mounted")


# Specs written in Python


def test_a_spec_from_python_gives_the_kernel_its_types() -> None:
    described = MapSpec(name="counts", type="hash", key="u32", value="u64", max_entries=8)
    assert (described.type, described.key_size, described.value_size) == (MapType.HASH, 4, 8)
    with described.create() as counts:
        assert counts.info.btf_id
        with Map.from_id(counts.id) as again:
            again[1] = 5
            assert again[1] == 5
        assert bpf.map_info(counts.fd).btf_key_type_id


@pytest.mark.parametrize("name", ["hash", "HASH", "lru-hash", "BPF_MAP_TYPE_ARRAY", "array"])
def test_types_by_name(name: str) -> None:
    with MapSpec(name="m", type=name, key="u32", value="u32", max_entries=1).create() as live:
        assert name.upper().replace("-", "_").endswith(live.type.name)


def test_a_type_that_there_is_none_of() -> None:
    with pytest.raises(NotFoundError, match="'hahs' is no type of map") as caught:
        MapSpec(name="m", type="hahs")
    assert "hash" in caught.value.hint
