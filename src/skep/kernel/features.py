"""What the running kernel can do: each feature is tried, never guessed from a version.

Distributions backport features and leave others out of the build, so a version number proves
nothing. It only makes the message better, and lets a test tell "too old" (skip) from "should
have it" (fail): see `Feature.expected`.

Results are cached for the process, except for a lack of privileges, which says nothing about
the kernel. The probes leave nothing behind; most take 10 to 200 us, once, and those that open a
perf event 10 ms (the kernel waits for a grace period when it is closed).
"""

from __future__ import annotations

from skep.errors import NotFoundError, PrivilegeError, SkepError, UnsupportedError
from skep.kernel import probes
from skep.kernel.constants import MapType
from skep.kernel.release import release, release_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Feature:
    """One thing a kernel can or cannot do.

    *title* completes "this kernel lacks ..."; *minimum* is the first Linux version with it;
    *probe* tries it and raises a `SkepError` when it is not there. Safe to share and to call
    from several threads (at worst both probe).
    """

    __slots__ = ("_cause", "_known", "minimum", "name", "probe", "title")

    def __init__(
        self, name: str, title: str, minimum: tuple[int, int], probe: Callable[[], None]
    ) -> None:
        self.name = name
        self.title = title
        self.minimum = minimum
        self.probe = probe
        self._known = False
        self._cause: SkepError | None = None

    @property
    def expected(self) -> bool:
        """Whether a kernel of this version should have it (when it is built in and allowed)."""
        return release()[:2] >= self.minimum

    def available(self) -> bool:
        """Whether the kernel has it; `PrivilegeError` when this process may not find out."""
        if not self._known:
            try:
                self.probe()
            except PrivilegeError:
                raise
            except SkepError as error:
                # A traceback would keep the frames of the probe alive with the cache.
                self._cause = error.with_traceback(None)
            self._known = True
        return self._cause is None

    def check(self) -> None:
        """Raise `UnsupportedError`, caused by what the kernel answered, unless it is there."""
        if self.available():
            return
        cause = self._cause
        major, minor = self.minimum
        message = f"this kernel ({release_name()}) lacks {self.title}"
        if self.expected:
            hint = f"Linux {major}.{minor} and newer have it: it is not built in, or forbidden"
        else:
            hint = f"it needs Linux {major}.{minor} or newer"
        raise UnsupportedError(
            message,
            hint=hint,
            feature=self.name,
            minimum=self.minimum,
            release=release(),
            errno=getattr(cause, "errno", 0),
        ) from cause

    def __repr__(self) -> str:
        state = "unknown" if not self._known else "lacking" if self._cause else "available"
        return f"<Feature {self.name}: {state}>"


def _batch(type: MapType, minimum: tuple[int, int]) -> Feature:
    name = type.name.lower()
    title = f"batch operations on {name} maps"
    return Feature(f"batch_{name}", title, minimum, lambda: probes.batch(type))


FEATURES: dict[str, Feature] = {
    feature.name: feature
    for feature in (
        Feature("ringbuf", "BPF ring buffers", (5, 8), probes.ringbuf),
        Feature("array_mmap", "mapping of array maps", (5, 5), probes.array_mmap),
        Feature("raw_tp", "BPF on raw tracepoints", (4, 17), probes.raw_tp),
        Feature("raw_tp_cookie", "cookies on raw tracepoints", (6, 10), probes.raw_tp_cookie),
        Feature("tp_btf", "BTF-typed tracepoints (tp_btf)", (5, 5), probes.tp_btf),
        Feature("fentry", "BPF at function entry (fentry)", (5, 5), probes.fentry),
        Feature(
            "perf_event_link",
            "BPF links of perf events, with cookies",
            (5, 15),
            probes.perf_event_link,
        ),
        Feature("attach_cookie", "bpf_get_attach_cookie", (5, 15), probes.attach_cookie),
        Feature("uprobe", "perf events on user functions", (4, 17), probes.uprobe),
        Feature("uprobe_multi", "uprobe_multi links", (6, 6), probes.uprobe_multi),
        Feature(
            "uprobe_multi_pid",
            "uprobe_multi links limited to a whole process",
            (6, 10),
            probes.uprobe_multi_pid,
        ),
        Feature("uprobe_session", "uprobe sessions", (6, 13), probes.uprobe_session),
        Feature("kprobe_multi", "kprobe_multi links", (5, 18), probes.kprobe_multi),
        Feature("kprobe_session", "kprobe sessions", (6, 10), probes.kprobe_session),
        Feature("netfilter", "netfilter programs", (6, 4), probes.netfilter),
        Feature("cgroup_unix", "cgroup programs of UNIX sockets", (6, 7), probes.cgroup_unix),
        Feature("cgroup_storage", "local storage of cgroups", (6, 2), probes.cgroup_storage),
        Feature("cpu_v4", "instruction set version 4", (6, 6), probes.cpu_v4),
        Feature("may_goto", "the instruction may_goto", (6, 9), probes.may_goto),
        Feature(
            "load_acquire",
            "the instructions load_acquire and store_release",
            (6, 15),
            probes.load_acquire,
        ),
        Feature("object_names", "names of programs and maps", (4, 15), probes.object_names),
        Feature(
            "expected_attach_type",
            "attach types of programs when they are loaded",
            (4, 17),
            probes.expected_attach_type,
        ),
        Feature("memcg_accounting", "accounting of BPF memory", (5, 11), probes.memcg_accounting),
        Feature("btf_func", "BTF functions", (5, 0), probes.btf_func),
        Feature("btf_global_func", "linkage of BTF functions", (5, 6), probes.btf_global_func),
        Feature("btf_datasec", "BTF data sections", (5, 2), probes.btf_datasec),
        Feature("btf_float", "BTF floats", (5, 13), probes.btf_float),
        Feature("btf_decl_tag", "BTF declaration tags", (5, 16), probes.btf_decl_tag),
        Feature("btf_type_tag", "BTF type tags", (5, 17), probes.btf_type_tag),
        Feature("btf_enum64", "64-bit BTF enums", (6, 0), probes.btf_enum64),
        Feature("arena", "BPF arenas", (6, 9), probes.arena),
        Feature("token", "BPF tokens", (6, 9), probes.token),
        Feature(
            "struct_ops_link", "links of structs of operations", (6, 4), probes.struct_ops_link
        ),
        _batch(MapType.HASH, (5, 6)),
        _batch(MapType.LRU_HASH, (5, 6)),
        _batch(MapType.PERCPU_HASH, (5, 6)),
        _batch(MapType.LRU_PERCPU_HASH, (5, 6)),
        _batch(MapType.ARRAY, (5, 6)),
        _batch(MapType.PERCPU_ARRAY, (5, 13)),
        _batch(MapType.LPM_TRIE, (5, 6)),
    )
}
"""Every feature by name."""


def feature(name: str) -> Feature:
    """Return the feature *name*; `NotFoundError` when skep has no such probe."""
    try:
        return FEATURES[name]
    except KeyError:
        hint = f"one of {', '.join(sorted(FEATURES))}"
        message = f"skep knows no kernel feature {name!r}"
        raise NotFoundError(message, hint=hint, name=name, where="features") from None


def available(name: str) -> bool:
    """Whether the running kernel has the feature *name* (`Feature.available`)."""
    return feature(name).available()


def check(name: str) -> None:
    """Raise `UnsupportedError` unless the running kernel has *name* (`Feature.check`)."""
    feature(name).check()
