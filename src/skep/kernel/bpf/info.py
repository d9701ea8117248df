"""What the kernel tells about an object: BPF_OBJ_GET_INFO_BY_FD, decoded.

Source: struct bpf_prog_info, bpf_map_info, bpf_link_info and bpf_btf_info in
include/uapi/linux/bpf.h of Linux 6.18. The structures grow at the end: a field that an older
kernel does not have reads as 0.
"""

from __future__ import annotations

from struct import Struct, unpack_from

from skep.kernel.bpf.ids import obj_info
from skep.kernel.constants import AttachType, LinkType, MapType, PerfLinkType, ProgramType, name_of
from skep.kernel.native import address_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.kernel.fd import FD


class _Info:
    """Base of the records: what they hold, for people and for JSON."""

    __slots__: tuple[str, ...] = ()

    def asdict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return {name: getattr(self, name) for name in self.__slots__}

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.asdict().items())
        return f"{type(self).__name__}({fields})"


def _text(data: bytes) -> str:
    return data.partition(b"\0")[0].decode("utf-8", "replace")


class ProgramInfo(_Info):
    """A loaded program. Times are nanoseconds; `load_time` since boot; lengths bytes.

    `run_time_ns` and `run_cnt` stay 0 while run-time statistics are off (`bpf.enable_stats`).
    """

    __slots__ = (
        "attach_btf_id",
        "attach_btf_obj_id",
        "btf_id",
        "created_by_uid",
        "gpl_compatible",
        "id",
        "jited_length",
        "kind",
        "load_time",
        "map_ids",
        "name",
        "recursion_misses",
        "run_cnt",
        "run_time_ns",
        "tag",
        "type",
        "verified_instructions",
        "xlated_length",
    )

    id: int
    type: int
    kind: str
    name: str
    tag: str
    jited_length: int
    xlated_length: int
    load_time: int
    created_by_uid: int
    gpl_compatible: bool
    map_ids: tuple[int, ...]
    btf_id: int
    run_time_ns: int
    run_cnt: int
    recursion_misses: int
    verified_instructions: int
    attach_btf_obj_id: int
    attach_btf_id: int


_PROGRAM_SIZE = 232
# type .. ifindex and the bit-field word
_program_head = Struct("=II8sIIQQQIIQ16sII").unpack_from
_MAP_COUNT_OFFSET = 52
_MAP_IDS_OFFSET = 56


def prog_info(fd: FD) -> ProgramInfo:
    """Describe a program. Code lengths are 0 for a caller without CAP_BPF or CAP_SYS_ADMIN."""
    data = obj_info(fd, _PROGRAM_SIZE)
    (count,) = unpack_from("=I", data, _MAP_COUNT_OFFSET)
    ids = bytearray(4 * count)
    if count:
        request = bytearray(_PROGRAM_SIZE)
        request[_MAP_COUNT_OFFSET : _MAP_COUNT_OFFSET + 4] = count.to_bytes(4, "little")
        request[_MAP_IDS_OFFSET : _MAP_IDS_OFFSET + 8] = address_of(ids).to_bytes(8, "little")
        data = obj_info(fd, _PROGRAM_SIZE, fill=bytes(request))
    data = data.ljust(_PROGRAM_SIZE, b"\0")
    info = ProgramInfo()
    head = _program_head(data)
    info.type, info.id = head[0], head[1]
    info.kind = name_of(ProgramType, info.type)
    info.tag = head[2].hex()
    info.jited_length, info.xlated_length = head[3], head[4]
    info.load_time, info.created_by_uid = head[7], head[8]
    info.name = _text(head[11])
    info.gpl_compatible = bool(head[13] & 1)
    info.map_ids = unpack_from(f"={count}I", ids)
    (info.btf_id,) = unpack_from("=I", data, 128)
    info.run_time_ns, info.run_cnt, info.recursion_misses = unpack_from("=QQQ", data, 192)
    tail = unpack_from("=III", data, 216)
    info.verified_instructions, info.attach_btf_obj_id, info.attach_btf_id = tail
    return info


class MapInfo(_Info):
    """A map. Sizes are bytes; `kind` is the type's name in lower case."""

    __slots__ = (
        "btf_id",
        "btf_key_type_id",
        "btf_value_type_id",
        "btf_vmlinux_id",
        "btf_vmlinux_value_type_id",
        "extra",
        "flags",
        "id",
        "ifindex",
        "key_size",
        "kind",
        "max_entries",
        "name",
        "type",
        "value_size",
    )

    id: int
    type: int
    kind: str
    name: str
    key_size: int
    value_size: int
    max_entries: int
    flags: int
    ifindex: int
    btf_id: int
    btf_key_type_id: int
    btf_value_type_id: int
    btf_vmlinux_id: int
    btf_vmlinux_value_type_id: int
    extra: int


_MAP_SIZE = 88
_map_fields = Struct("=IIIIII16sIIQQIIIIQ").unpack_from


def map_info(fd: FD) -> MapInfo:
    """Describe a map."""
    fields = _map_fields(obj_info(fd, _MAP_SIZE).ljust(_MAP_SIZE, b"\0"))
    info = MapInfo()
    info.type, info.id, info.key_size, info.value_size, info.max_entries, info.flags = fields[:6]
    info.kind = name_of(MapType, info.type)
    info.name = _text(fields[6])
    info.ifindex, info.btf_vmlinux_value_type_id = fields[7:9]
    info.btf_id, info.btf_key_type_id, info.btf_value_type_id = fields[11:14]
    info.btf_vmlinux_id, info.extra = fields[14:16]
    return info


class LinkInfo(_Info):
    """A link. `details` holds what only this kind of link has, by the UAPI's names.

    For a perf_event link `details["event"]` says what it hangs on ("tracepoint", "uprobe", ...);
    before Linux 6.6 the kernel does not tell, and `details` is empty. Cookies are told since 6.9
    (perf_event) and 6.16 (raw_tracepoint, tracing), and read as 0 before.
    """

    __slots__ = ("details", "id", "kind", "prog_id", "type")

    id: int
    type: int
    kind: str
    prog_id: int
    details: dict[str, Any]


_LINK_SIZE = 80
_TEXT_SIZE = 4096  # PATH_MAX; names are shorter

# Where the kernel takes a pointer to a text buffer and its length, by kind of link.
_TEXT_FIELDS = {
    LinkType.RAW_TRACEPOINT: (16, 24),
    LinkType.ITER: (16, 24),
    LinkType.UPROBE_MULTI: (16, 48),
    LinkType.PERF_EVENT: (24, 32),
}
_PERF_WITH_TEXT = {
    PerfLinkType.UPROBE,
    PerfLinkType.URETPROBE,
    PerfLinkType.KPROBE,
    PerfLinkType.KRETPROBE,
    PerfLinkType.TRACEPOINT,
}


def link_info(fd: FD) -> LinkInfo:
    """Describe a link."""
    data = obj_info(fd, _LINK_SIZE)
    info = LinkInfo()
    info.type, info.id, info.prog_id = unpack_from("=III", data.ljust(12, b"\0"))
    info.kind = name_of(LinkType, info.type)
    info.details = {}
    text = ""
    where = _TEXT_FIELDS.get(info.type)  # type: ignore[call-overload]
    padded = data.ljust(_LINK_SIZE, b"\0")
    if info.type == LinkType.PERF_EVENT and unpack_from("=I", padded, 16)[0] not in _PERF_WITH_TEXT:
        where = None  # the kernel reads no pointer there
    if where:
        buffer = bytearray(_TEXT_SIZE)
        request = bytearray(_LINK_SIZE)
        request[where[0] : where[0] + 8] = address_of(buffer).to_bytes(8, "little")
        request[where[1] : where[1] + 4] = _TEXT_SIZE.to_bytes(4, "little")
        padded = obj_info(fd, _LINK_SIZE, fill=bytes(request)).ljust(_LINK_SIZE, b"\0")
        text = _text(bytes(buffer))
    info.details = _details(info.type, padded, text)
    return info


def _details(type: int, data: bytes, text: str) -> dict[str, Any]:
    first, second = unpack_from("=II", data, 16)
    if type == LinkType.RAW_TRACEPOINT:
        return {"tp_name": text, "cookie": unpack_from("=Q", data, 32)[0]}
    if type == LinkType.TRACING:
        target_btf_id, cookie = unpack_from("=I4xQ", data, 24)
        return {
            "attach_type": name_of(AttachType, first),
            "target_obj_id": second,
            "target_btf_id": target_btf_id,
            "cookie": cookie,
        }
    if type == LinkType.PERF_EVENT:
        return _perf_details(first, data, text)
    if type == LinkType.UPROBE_MULTI:
        count, flags, pid = unpack_from("=III", data, 52)
        return {"path": text, "count": count, "flags": flags, "pid": pid}
    if type == LinkType.KPROBE_MULTI:
        count, flags, missed = unpack_from("=IIQ", data, 24)
        return {"count": count, "flags": flags, "missed": missed}
    if type == LinkType.CGROUP:
        cgroup, attach = unpack_from("=QI", data, 16)
        return {"cgroup_id": cgroup, "attach_type": name_of(AttachType, attach)}
    if type == LinkType.XDP:
        return {"ifindex": first}
    if type in (LinkType.TCX, LinkType.NETKIT):
        return {"ifindex": first, "attach_type": name_of(AttachType, second)}
    if type == LinkType.NETNS:
        return {"netns_ino": first, "attach_type": name_of(AttachType, second)}
    if type == LinkType.SOCKMAP:
        return {"map_id": first, "attach_type": name_of(AttachType, second)}
    if type == LinkType.STRUCT_OPS:
        return {"map_id": first}
    if type == LinkType.NETFILTER:
        priority, flags = unpack_from("=iI", data, 24)
        return {"pf": first, "hooknum": second, "priority": priority, "flags": flags}
    if type == LinkType.ITER:
        return {"target_name": text}
    return {}


def _perf_details(event: int, data: bytes, text: str) -> dict[str, Any]:
    if event == PerfLinkType.UNSPEC:
        return {}
    details: dict[str, Any] = {"event": name_of(PerfLinkType, event)}
    if event in (PerfLinkType.UPROBE, PerfLinkType.URETPROBE):
        offset, cookie, counter = unpack_from("=IQQ", data, 36)
        details |= {"file_name": text, "offset": offset, "cookie": cookie}
        details["ref_ctr_offset"] = counter
    elif event in (PerfLinkType.KPROBE, PerfLinkType.KRETPROBE):
        offset, address, missed, cookie = unpack_from("=IQQQ", data, 36)
        details |= {"func_name": text, "offset": offset, "addr": address, "missed": missed}
        details["cookie"] = cookie
    elif event == PerfLinkType.TRACEPOINT:
        details |= {"tp_name": text, "cookie": unpack_from("=Q", data, 40)[0]}
    elif event == PerfLinkType.EVENT:
        config, type, cookie = unpack_from("=QI4xQ", data, 24)
        details |= {"config": config, "type": type, "cookie": cookie}
    return details


class BtfInfo(_Info):
    """A BTF blob in the kernel: `size` bytes, of the kernel itself or of a module, or loaded."""

    __slots__ = ("id", "is_kernel", "name", "size")

    id: int
    name: str
    size: int
    is_kernel: bool


def btf_info(fd: FD) -> BtfInfo:
    """Describe a BTF blob; `name` is "vmlinux", a module's, or "" for a program's."""
    buffer = bytearray(64)
    request = Struct("=QIIQII").pack(0, 0, 0, address_of(buffer), len(buffer), 0)
    data = obj_info(fd, 32, fill=request).ljust(32, b"\0")
    info = BtfInfo()
    _, info.size, info.id, _, _, kernel = unpack_from("=QIIQII", data)
    info.name, info.is_kernel = _text(bytes(buffer)), bool(kernel)
    return info


def btf_data(fd: FD) -> bytes:
    """Return the bytes of a BTF blob from the kernel (raw BTF, host byte order)."""
    size = btf_info(fd).size
    buffer = bytearray(size)
    obj_info(fd, 32, fill=Struct("=QI").pack(address_of(buffer), size))
    return bytes(buffer)
