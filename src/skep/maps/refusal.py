"""Why the kernel refused a lookup, an update, a removal or a walk. Imported only when it did.

Sources: ``map_lookup_elem``, ``map_update_elem``, ``map_delete_elem`` and ``map_freeze`` in
kernel/bpf/syscall.c, and the functions they call in kernel/bpf/{hashtab,arraymap,lpm_trie}.c,
Linux 6.18.
"""

from __future__ import annotations

import errno

from skep.errors import (
    KernelError,
    KeyPresentError,
    MapError,
    MapFullError,
    MissingKeyError,
    SkepError,
    UnsupportedError,
)
from skep.kernel import descriptors
from skep.kernel.constants import MapType, UpdateFlags
from skep.maps import kinds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.maps.live import LiveMap

ENOTSUPP = 524
_UNSUPPORTED = (ENOTSUPP, errno.EOPNOTSUPP)

# What was attempted, with the key, and with the whole map.
_DOING = {
    "BPF_MAP_LOOKUP_ELEM": "key {} cannot be looked up",
    "BPF_MAP_UPDATE_ELEM": "key {} cannot be stored",
    "BPF_MAP_DELETE_ELEM": "key {} cannot be removed",
    "BPF_MAP_LOOKUP_AND_DELETE_ELEM": "key {} cannot be taken out",
    "BPF_MAP_GET_NEXT_KEY": "it cannot be walked",
    "BPF_MAP_LOOKUP_BATCH": "it cannot be read",
    "BPF_MAP_LOOKUP_AND_DELETE_BATCH": "it cannot be drained",
    "BPF_MAP_UPDATE_BATCH": "the keys cannot be stored",
    "BPF_MAP_DELETE_BATCH": "the keys cannot be removed",
    "BPF_MAP_FREEZE": "it cannot be frozen",
}
# The same for maps that have no keys.
_DOING_KEYLESS = {
    "BPF_MAP_LOOKUP_ELEM": "it cannot be looked into",
    "BPF_MAP_UPDATE_ELEM": "nothing can be put in",
    "BPF_MAP_LOOKUP_AND_DELETE_ELEM": "nothing can be taken out",
}
_READS = frozenset(call for call in _DOING if "LOOKUP" in call or "NEXT" in call)
_WRITES = frozenset(call for call in _DOING if call not in _READS or "DELETE" in call)
_STORES = frozenset({"BPF_MAP_UPDATE_ELEM", "BPF_MAP_UPDATE_BATCH"})
_LRU = frozenset({MapType.LRU_HASH, MapType.LRU_PERCPU_HASH})
_ANY = int(UpdateFlags.NOEXIST | UpdateFlags.EXIST | UpdateFlags.LOCK)


def refused(map: LiveMap, error: KernelError, key: Any = None, *, flags: int = 0) -> SkepError:
    """Return what to raise for *error*, of a call on *map* about *key* with *flags*.

    A `MapError` with the reason; `MissingKeyError`, `KeyPresentError` and `UnsupportedError` where
    that is what the errno says. Errors that are explained already stay as they are.
    """
    if isinstance(error, MapError) or error.call not in _DOING:
        return error
    case = _Case(map, error, key, flags)
    return case.about_keys() or case.permission() or case.room() or case.arguments() or case.other()


def not_frozen(map: LiveMap, error: KernelError) -> SkepError:
    """Return what to raise when *map* could not be frozen."""
    case = _Case(map, error, None, 0)
    if case.frozen:
        return case.failure("frozen", "it is frozen already", "")
    if error.errno == errno.EBUSY:
        return case.failure(
            "mapped",
            "some process has it mapped for writing",
            "close every memory(), variable and live view of it first",
        )
    return case.permission() or case.arguments() or case.other()


class _Case:
    """One refusal, and the sentences that may fit it: each method returns an error, or None."""

    def __init__(self, map: LiveMap, error: KernelError, key: Any, flags: int) -> None:
        self.map = map
        self.error = error
        self.key = key
        self.flags = flags
        self.code = error.errno or 0
        self.type = map.spec.type
        self.what = f"map {map.name!r} ({kinds.type_name(map.spec.type)})"
        self._facts: dict[str, str] | None = None

    @property
    def facts(self) -> dict[str, str]:
        if self._facts is None:
            closed = self.map.closed
            self._facts = {} if closed else descriptors.facts(self.map.fd)
        return self._facts

    @property
    def frozen(self) -> bool:
        return self.facts.get("frozen") == "1"

    @property
    def doing(self) -> str:
        """What was attempted."""
        if self.type in kinds.KEYLESS and self.error.call in _DOING_KEYLESS:
            return _DOING_KEYLESS[self.error.call]
        if self.key is None:  # a step of a walk over all of them
            return _DOING[self.error.call].replace("key {}", "an entry")
        return _DOING[self.error.call].format(f"{self.key!r:.60}")

    def failure(self, reason: str, why: str, hint: str) -> MapError:
        doing = self.doing
        name = "ENOTSUPP" if self.code == ENOTSUPP else errno.errorcode.get(self.code, self.code)
        return self._made(MapError, reason, f"{self.what}: {doing}: {why} [{name}]", hint)

    def _made(
        self, kind: type[MapError], reason: str, text: str, hint: str, **more: Any
    ) -> MapError:
        evidence: dict[str, Any] = {
            **self.error.evidence,
            "call": self.error.call,
            "map": self.map.name,
            "map_type": kinds.type_name(self.type),
            "key": self.key,
            "reason": reason,
        }
        return kind(text, hint=hint, **{**evidence, **more})

    def about_keys(self) -> SkepError | None:
        """Say what is about the key alone: present, absent, past the end."""
        if self.error.call != "BPF_MAP_UPDATE_ELEM":
            return None
        name, evidence = self.map.name, {"key": self.key, "map": self.map.name, "errno": self.code}
        if self.code == errno.EEXIST:
            message = f"map {name!r} has key {self.key!r:.60} already"
            hint = "store it with m[key] = value, or with replace()"
            if self.type in kinds.ARRAYS:
                message = f"map {name!r} is an array: every index of it is there from the start"
            return KeyPresentError(message, hint=hint, **evidence)
        if self.code == errno.ENOENT and self.flags & UpdateFlags.EXIST:
            message = f"map {name!r} has no key {self.key!r:.60}, so nothing was replaced"
            return MissingKeyError(message, hint="insert() stores a new key", **evidence)
        if self.code == errno.E2BIG and self.type in kinds.INDEXED:
            entries = kinds.entries(self.map.spec.max_entries)
            message = f"map {name!r} has {entries}: no index {self.key!r}"
            hint = "indices begin at 0; set max_entries before the map is created"
            return MissingKeyError(message, hint=hint, **evidence)
        return None

    def permission(self) -> MapError | None:
        """Say which of the three things that give EPERM it is."""
        if self.code != errno.EPERM:
            return None
        mode = self.facts.get("flags", "")[-1:]
        call = self.error.call
        again = "open it without that flag: Map.from_pin(path), or Map.from_id(id)"
        if call in _READS and mode == "1":
            why = "this descriptor of it may only write (BPF_F_WRONLY)"
            return self.failure("write-only", why, again)
        if call in _WRITES and mode == "0":
            why = "this descriptor of it may only read (BPF_F_RDONLY)"
            return self.failure("read-only", why, again)
        if call in _WRITES and self.frozen:
            hint = "that is for good; load the object again to change it, or let a program write"
            return self.failure("frozen", "it is frozen, so user space may not write it", hint)
        return None

    def room(self) -> MapError | None:
        """Say that there is no room, or no memory."""
        if self.error.call not in _STORES:
            return None
        entries = self.map.spec.max_entries
        full = errno.ENOSPC if self.type == MapType.LPM_TRIE else errno.E2BIG
        if self.code == full:
            hint = "raise max_entries before it is created, or delete keys"
            if self.type in kinds.HASHES:
                hint += "; an LRU_HASH drops the oldest by itself"
            count = kinds.entries(entries)
            text = f"{self.what} is full: key {self.key!r:.60} is new, and it has room for {count}"
            if self.error.call == "BPF_MAP_UPDATE_BATCH":
                done = self.error.evidence.get("done", 0)
                text = f"{self.what} is full: it has room for {count} ({done} keys were stored)"
            return self._made(MapFullError, "full", text, hint, entries=entries)
        if self.code == errno.ENOMEM:
            why = "the kernel has no memory at hand for one more entry"
            hint = "without the flag NO_PREALLOC the memory is there from the start"
            if self.type in _LRU:
                why = "every entry is in use on some other CPU"
                hint = "raise max_entries: each CPU keeps some free ones to itself"
            return self.failure("memory", why, hint)
        return None

    def arguments(self) -> SkepError | None:
        """Say what is wrong with the flags, or with what this type of map is asked for."""
        call = self.error.call
        if self.code in _UNSUPPORTED:
            return self._unsupported()
        if self.code != errno.EINVAL:
            return None
        if self.flags & ~_ANY or self.flags & 3 == 3:
            why = f"flags {self.flags:#x} are not ones that it takes"
            hint = "one of UpdateFlags.ANY, NOEXIST and EXIST, perhaps with LOCK"
            return self.failure("flags", why, hint)
        if self.flags & UpdateFlags.LOCK:
            why = "with lock=True (BPF_F_LOCK) its value must have a lock, which this has not"
            hint = "declare a member `struct bpf_spin_lock lock;` in the value, or leave lock out"
            if self.type not in (MapType.HASH, MapType.ARRAY):
                hint = "HASH, ARRAY and LRU_HASH maps can have values with locks"
            return self.failure("no-lock", why, hint)
        if call in ("BPF_MAP_DELETE_ELEM", "BPF_MAP_LOOKUP_AND_DELETE_ELEM") and (
            self.type in kinds.ARRAYS
        ):
            return UnsupportedError(
                f"{self.what}: the entries of an array are always there, {self.key!r:.60} cannot"
                f" be removed",
                hint="store a zero instead; clear() sets all to zero",
                feature="removal from an array",
                map=self.map.name,
                key=self.key,
            )
        return None

    def _unsupported(self) -> UnsupportedError:
        from skep.maps.diagnose import instead

        doing = _DOING[self.error.call].format(f"{self.key!r:.60}")
        return UnsupportedError(
            f"{self.what}: {doing}: the kernel does not do that for maps of this type",
            hint=instead(self.type),
            feature=f"{self.error.call} of {kinds.type_name(self.type)} maps",
            map=self.map.name,
            key=self.key,
            errno=self.code,
        )

    def other(self) -> MapError:
        """Keep the kernel's own reason."""
        if self.code in (errno.EBUSY, errno.EDEADLK, errno.ETIMEDOUT):
            why = "a program on this CPU holds the lock that it needs"
            return self.failure("busy", why, "try again")
        text = self.error.message
        why = text.rpartition(" failed: ")[2] or text
        doing = self.doing
        return self._made(MapError, "", f"{self.what}: {doing}: {why}", self.error.hint)
