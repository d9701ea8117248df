"""The older storage of cgroups: a value for each attachment, made by the attachment."""

from __future__ import annotations

import operator
import os
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from map_subjects import cgroup

import skep
from skep.errors import (
    ClosedError,
    LoadError,
    MissingKeyError,
    NotFoundError,
    RangeError,
    TypeMismatchError,
    UnsupportedError,
)
from skep.kernel import bpf
from skep.kernel.constants import AttachType, MapType
from skep.kernel.fd import FD
from skep.maps import AttachedStorage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compiling import CompileBpf

SOURCE = r"""// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <skep/bpf.h>

char LICENSE[] SEC("license") = "GPL";

struct bpf_cgroup_storage_key { __u64 cgroup_inode_id; __u32 attach_type; };
struct traffic { __u64 packets; __u32 bytes; };

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_STORAGE);
	__type(key, struct bpf_cgroup_storage_key);
	__type(value, struct traffic);
} by_attachment SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE);
	__type(key, __u64);
	__type(value, __u64);
} by_cgroup SEC(".maps");

SEC("cgroup_skb/egress")
int on_egress(struct __sk_buff *skb)
{
	struct traffic *traffic = bpf_get_local_storage(&by_attachment, 0);
	__u64 *packets = bpf_get_local_storage(&by_cgroup, 0);

	traffic->packets++;
	traffic->bytes += 1;
	*packets += 1;
	return 1;
}
"""
EGRESS = AttachType.CGROUP_INET_EGRESS


class Attached:
    def __init__(self, live: skep.Object, path: str) -> None:
        self.by_attachment: Any = live.maps["by_attachment"]
        self.by_cgroup: Any = live.maps["by_cgroup"]
        self.path = path
        self.id = os.stat(path).st_ino


def enter(folder: str) -> None:
    with open(f"{folder}/cgroup.procs", "w") as file:
        file.write(str(os.getpid()))


def home() -> str:
    with open("/proc/self/cgroup") as lines:
        return next(line.strip()[3:] for line in lines if line.startswith("0::"))


@pytest.fixture
def attached(compile_bpf: CompileBpf) -> Iterator[Attached]:
    """Attach to a cgroup of its own, and send three datagrams from there."""
    with ExitStack() as stack:
        path = stack.enter_context(cgroup("skep-attached"))
        live = stack.enter_context(skep.ObjectSpec.from_file(compile_bpf(SOURCE)).load())
        group = stack.enter_context(FD(os.open(path, os.O_RDONLY), "a cgroup"))
        program = live.programs["on_egress"]
        stack.enter_context(bpf.link_create(program.fd, group.fileno(), EGRESS))
        before = path.rpartition("/")[0] + home()
        enter(path)
        try:
            with socket.socket(type=socket.SOCK_DGRAM) as one:
                one.bind(("127.0.0.1", 0))
                for _ in range(3):
                    one.sendto(b"x", one.getsockname())
        finally:
            enter(before)
        yield Attached(live, path)


def test_a_program_counts_by_attachment(attached: Attached) -> None:
    kept = attached.by_attachment
    assert isinstance(kept, AttachedStorage)
    key = attached.path, EGRESS
    assert kept[key] == (3, 3)
    assert kept[attached.id, EGRESS].packets == 3
    assert key in kept
    assert kept.get((attached.path, AttachType.CGROUP_INET_INGRESS)) is None
    (only,) = kept
    assert (only.cgroup, only.attach_type, only.attach) == (
        attached.id, EGRESS, "cgroup_inet_egress",
    )  # fmt: skip
    assert [*kept.items()] == [((attached.id, EGRESS), (3, 3))]
    assert kept.count() == 1
    keys, values = kept.read()
    assert keys["cgroup"].tolist() == [attached.id]
    assert values["packets"].tolist() == [3]
    kept[key] = (10, 1)
    kept.replace({"cgroup": attached.path, "attach_type": EGRESS}, (11, 1))
    kept.update({(attached.id, EGRESS): (12, 1)})
    assert kept[only] == (12, 1)
    kept.clear()
    assert kept[key] == (0, 0)


def test_a_program_counts_by_cgroup_and_cpu(attached: Attached) -> None:
    kept = attached.by_cgroup
    assert sum(kept[attached.path]) == sum(kept[attached.id]) == 3
    with open(f"{attached.path}/cgroup.procs") as file, pytest.raises(MissingKeyError):
        _ = kept[file]  # its inode is no cgroup's
    group = os.open(attached.path, os.O_RDONLY)
    with FD(group, "the cgroup") as folder:
        assert sum(kept[folder]) == 3
    with pytest.raises(ClosedError):
        _ = kept[folder]
    assert [*kept] == [attached.id]
    _, values = kept.read()
    assert values.sum() == 3


def test_what_the_kernel_leaves_to_attachments(attached: Attached) -> None:
    kept, key = attached.by_attachment, (attached.path, EGRESS)
    for attempt in (
        lambda: kept.insert(key, (1, 1)),
        lambda: kept.setdefault(key, (1, 1)),
        lambda: kept.pop(key),
        lambda: kept.delete([key]),
        lambda: operator.delitem(kept, key),
        kept.drain,
    ):
        with pytest.raises(UnsupportedError, match=r"user space cannot (insert|remove) entries"):
            attempt()
    other = attached.path, AttachType.CGROUP_INET_INGRESS
    for store in (
        lambda: operator.setitem(kept, other, (1, 1)),
        lambda: kept.replace(other, (1, 1)),
    ):
        with pytest.raises(MissingKeyError, match="has no key") as caught:
            store()
        assert "is attached to a cgroup" in caught.value.hint


def test_keys_that_are_none(attached: Attached) -> None:
    kept = attached.by_attachment
    wrong: Any
    for wrong in (attached.path, (attached.path,), (attached.path, "egress"), (None, EGRESS)):
        with pytest.raises(TypeMismatchError, match="'by_attachment', key"):
            _ = kept[wrong]
    for key in ((-1, EGRESS), (1, -1), (1, 1 << 40)):
        with pytest.raises(RangeError, match="'by_attachment', key"):
            _ = kept[key]
    with pytest.raises(NotFoundError, match="there is no cgroup"):
        _ = kept[f"{attached.path}/none", EGRESS]


def test_from_python() -> None:
    def made(**options: Any) -> Any:
        return skep.MapSpec(name="kept", type=MapType.CGROUP_STORAGE, **options).create()

    with made(value_size=8) as live:
        assert live.info.key_size == 16
        assert [*live] == []
        assert (1, 1) not in live
    with made(key_size=8, value_size=8) as live:
        assert 1 not in live
    with pytest.raises(LoadError, match="max_entries must be 0, not 5"):
        made(value_size=8, max_entries=5)
    with pytest.raises(LoadError, match="the value size must be 1 byte or more"):
        made()
