"""Why a map is read wrong: the reasons as data, and the check that finds those that apply.

Imported only when something is asked or went wrong. `check` looks at a live map and returns
`Finding`s; each names its reason in `REASONS`, which says how sure it is and what to do about it.
`skep map check` prints them; docs/misreadings.md has a paragraph for every reason.
"""

from __future__ import annotations

from skep.errors import TypeMismatchError
from skep.kernel.constants import MapType
from skep.maps import kinds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.btf.btf import Btf
    from skep.maps.spec import MapSpec
    from skep.maps.system.sides import View

# How sure a finding is, and what it means for the exit status.
WRONG = "wrong"  # values read with these types are wrong, or cannot be read
LIMIT = "limit"  # reading is possible, but not in this way
GUESS = "guess"  # a heuristic: the values look as if
NOTE = "note"  # worth knowing; nothing is wrong


class Reason:
    """One reason: how sure it is (`level`), `means` in a sentence, `remedy` in another."""

    __slots__ = ("level", "means", "remedy")

    def __init__(self, level: str, means: str, remedy: str) -> None:
        self.level = level
        self.means = means
        self.remedy = remedy


REASONS = {
    "gone": Reason(
        WRONG, "there is no such map",
        "load the object again, or pin the map: a map lives as long as a descriptor, a program or"
        " a pin of it",
    ),
    "reused": Reason(
        WRONG, "the id or name belongs to another map than the object's",
        "find the map again by its name or its pin; skep map list shows all",
    ),
    "ambiguous": Reason(WRONG, "several maps have the name", "give the id, or the path of the pin"),
    "not-bpffs": Reason(
        WRONG, "the path is not on a bpf file system", "mount -t bpf bpf /sys/fs/bpf",
    ),
    "namespace": Reason(
        WRONG, "the pin is in another mount namespace",
        "look from there: nsenter -t PID -m skep ...",
    ),
    "privilege": Reason(WRONG, "a capability is missing", "run as root, or give the capability"),
    "object": Reason(
        WRONG, "the map differs from the object's map of that name",
        "unload or unpin the old map, or read with the object that made it",
    ),
    "size": Reason(
        WRONG, "the type has another size than the map's keys or values",
        "use the type that the map's programs were compiled with",
    ),
    "layout": Reason(
        WRONG, "the type has the size, but its members lie elsewhere or are something else",
        "use the same declaration on both sides, packed on both or on none",
    ),
    "byte-order": Reason(
        WRONG, "the type declares another byte order than the map's own",
        "declare the member as __be16, __be32 or __be64 on both sides",
    ),
    "key-padding": Reason(
        WRONG, "keys are stored with something in their padding, which a hash compares too",
        "in the program, zero the key before it is filled in:"
        " __builtin_memset(&key, 0, sizeof(key))",
    ),
    "write-only": Reason(
        WRONG, "the descriptor may not read", "open it by id, or with a pin that may be read",
    ),
    "per-cpu": Reason(
        WRONG, "the map has a value for each CPU and is taken for one without, or the reverse",
        "read all CPUs' values and add them up",
    ),
    "no-btf": Reason(
        LIMIT, "the map has no BTF, or none that may be read: its keys and values are bytes",
        "compile the program with -g, or tell the types: --key-type and --type",
    ),
    "no-lookup": Reason(
        LIMIT, "the kernel has no lookup by key for this type of map", "see the map type",
    ),
    "unreadable": Reason(LIMIT, "the kernel refuses to read it", "see the kernel's answer"),
    "ifindex": Reason(
        WRONG, "a stored interface is not there in this network namespace",
        "look from the namespace of the interfaces: ip netns exec NAME skep ...",
    ),
    "looks-swapped": Reason(
        GUESS, "the numbers look as if their bytes were in the other order",
        "if the program stores network order, declare the member as __be16, __be32 or __be64",
    ),
    "word-size": Reason(
        NOTE, "the type has another layout for 32-bit programs",
        "declare members with __u32 and __u64, not with long, pointers or misaligned 64 bits",
    ),
    "packed": Reason(
        NOTE, "the type is packed: other languages must declare it so, too",
        "in ctypes _pack_ = 1, in NumPy a dtype without align, in C __attribute__((packed))",
    ),
    "network-name": Reason(
        NOTE, "a member is called like something that is mostly in network order",
        "if it is, declare it as __be16 or __be32",
    ),
    "frozen": Reason(
        NOTE, "user space may not write it, for good", "load the object again to change it"
    ),
    "read-only": Reason(
        NOTE, "the descriptor or the programs may only read", "open it by id to write",
    ),
    "cpus": Reason(NOTE, "it has a value for each possible CPU", "add them up"),
    "zeros": Reason(
        NOTE, "values are zero", "a missing key is a MissingKeyError, never a zero",
    ),
    "pid-namespace": Reason(
        NOTE, "process ids in maps are those of the initial pid namespace", "translate them there",
    ),
}  # fmt: skip


class Finding:
    """One reason that applies: `text` says to what, `lines` show it (two layouts, bytes).

    `evidence` is what the text says, ready for JSON.
    """

    __slots__ = ("code", "evidence", "hint", "lines", "text")

    def __init__(
        self, code: str, text: str, *, hint: str = "", lines: str = "", **evidence: Any
    ) -> None:
        self.code = code
        self.text = text
        self.hint = hint or REASONS[code].remedy
        self.lines = lines
        self.evidence = evidence

    @property
    def level(self) -> str:
        """How sure it is: "wrong", "limit", "guess" or "note"."""
        return REASONS[self.code].level

    def asdict(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        return {
            "code": self.code,
            "level": self.level,
            "text": self.text,
            "hint": self.hint,
            "lines": self.lines.splitlines(),
            "evidence": self.evidence,
        }

    def __repr__(self) -> str:
        return f"<Finding {self.code} ({self.level}): {self.text}>"


# What to do with maps that cannot be looked into by key. Sources: the ``map_ops`` tables of
# kernel/bpf/{queue_stack_maps,bloom_filter,ringbuf,arraymap,arena}.c and net/core/sock_map.c,
# net/xdp/xskmap.c, kernel/bpf/reuseport_array.c, Linux 6.18.
INSTEAD = {
    MapType.QUEUE: "skep map peek shows the next value; in Python peek(), and pop() takes it",
    MapType.STACK: "skep map peek shows the next value; in Python peek(), and pop() takes it",
    MapType.BLOOM_FILTER: "it only tells whether a value may be in it: value in map",
    MapType.RINGBUF: "read its records with stream()",
    MapType.USER_RINGBUF: "programs read it; user space submits records",
    MapType.ARENA: "read its memory: memory()",
    MapType.PERF_EVENT_ARRAY: "it holds the descriptors of perf events, which carry the records",
    MapType.CGROUP_ARRAY: "only programs can use what it holds",
    MapType.XSKMAP: "only programs can use what it holds",
    MapType.SOCKMAP: "with values of 8 bytes a lookup gives the socket's cookie",
    MapType.SOCKHASH: "with values of 8 bytes a lookup gives the socket's cookie",
    MapType.REUSEPORT_SOCKARRAY: "with values of 8 bytes a lookup gives the socket's cookie",
    MapType.TASK_STORAGE: "look up one process by a pidfd; there is no walk",
    MapType.INODE_STORAGE: "look up one file by a descriptor of it; there is no walk",
    MapType.SK_STORAGE: "look up one socket by its descriptor; there is no walk",
    MapType.CGRP_STORAGE: "look up one cgroup by a descriptor of its folder; there is no walk",
}
_COOKIES = frozenset({MapType.SOCKMAP, MapType.SOCKHASH, MapType.REUSEPORT_SOCKARRAY})


def instead(type: int) -> str:
    """Return what to do with a map of this *type* that has no lookup by key; "" for others."""
    return INSTEAD.get(MapType(type), "") if type in INSTEAD else ""


def has_lookup(type: int, value_size: int) -> bool:
    """Whether user space can look up a key in a map of this *type*, or walk it."""
    if type in _COOKIES:
        return value_size == 8
    return type not in INSTEAD or type in kinds.STORAGES


def can_walk(type: int, value_size: int) -> bool:
    """Whether user space can walk it."""
    return has_lookup(type, value_size) and type not in kinds.STORAGES


def wrong_size(
    map: str, role: str, size: int, btf: Btf | None, type_id: int, other: Btf, id: int, name: str
) -> TypeMismatchError:
    """Make the error for a type *name* (*id* of *other*) that the map's keys or values are not."""
    from skep.btf.layout import layout

    given = layout(other, id)
    own = layout(btf, type_id) if btf is not None and type_id else None
    declared = f" ({own.type_name})" if own is not None else ""
    return TypeMismatchError(
        f"map {map!r}: its {role}s are {size} bytes{declared}, and {name} has {given.size}",
        hint=f"skep map check {map} --type '{name}' shows both layouts"
        if role == "value"
        else f"skep map check {map} --key-type '{name}' shows both layouts",
        expected=f"{size} bytes",
        given=given.size,
        map=map,
        role=role,
        expected_layout=[] if own is None else own.lines(),
        given_layout=given.lines(),
    )


def check(
    view: View,
    *,
    path: str = "",
    expected: MapSpec | None = None,
    key_type: tuple[Btf, int] | None = None,
    value_type: tuple[Btf, int] | None = None,
) -> list[Finding]:
    """Look at a live map and return all that would make it read wrong, the surest first.

    *path* is the pin it was opened by. *expected* is the map it is taken for, as an object
    declares it; *key_type* and *value_type* are types that somebody would read it with. Every
    entry is read once, and nothing is written.
    """
    from skep.maps.diagnose import place, types, values

    found: list[Finding] = []
    if expected is not None:
        found += types.differences(view, expected)
    for side, told in ((view.key, key_type), (view.value, value_type)):
        if side is not None:
            found += types.of_side(view, side, told)
    found += types.of_btf(view, told=value_type is not None or key_type is not None)
    found += place.access(view.map, path)
    spec = view.map.spec
    if not has_lookup(spec.type, spec.value_size):
        kind = kinds.type_name(spec.type)
        text = f"a {kind} map has no lookup by key from user space"
        found.append(Finding("no-lookup", text, hint=instead(spec.type), type=kind))
    elif not can_walk(spec.type, spec.value_size):
        kind = kinds.type_name(spec.type)
        text = f"a {kind} map cannot be walked from user space: what is in it was not looked at"
        found.append(Finding("no-lookup", text, hint=instead(spec.type), type=kind))
    elif view.key is not None:
        found += values.scan(view, key_type, value_type)
    found += place.namespaces(view)
    order = (WRONG, LIMIT, GUESS, NOTE)
    return sorted(found, key=lambda one: order.index(one.level))
