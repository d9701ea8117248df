"""Where skep and Debian's libbpf 1.1 differ, and why skep is right."""

from __future__ import annotations

from typing import NamedTuple


class Difference(NamedTuple):
    """What differs between two loads of one case, and why.

    *programs* are those whose sections libbpf takes for something else. *refused* is part of what
    bpftool says when it does not load the object; *closed* that libbpf does not even open it.
    *lines* are how the lines begin that say what differs in the kernel.
    """

    reason: str
    programs: tuple[str, ...] = ()
    refused: str = ""
    closed: bool = False
    lines: tuple[str, ...] = ()


_UNKNOWN = "failed to guess program type"

DIFFERENCES = {
    "map_queue": Difference(
        "libbpf leaves out the types of a queue; the kernel keeps them beside an empty key",
        lines=("maps queue key type: ", "maps queue value type: "),
    ),
    "section_socket": Difference(
        "libbpf gave up names such as socket/2 in 1.0; objects that have them are still around",
        programs=("numbered",),
        refused=_UNKNOWN,
    ),
    "section_tcx": Difference(
        "libbpf knows tcx/ and netkit/ since 1.3",
        programs=("in", "out", "in_short", "primary", "peer"),
        refused=_UNKNOWN,
    ),
    "section_netfilter": Difference(
        "libbpf knows netfilter since 1.3", programs=("accepts",), refused=_UNKNOWN
    ),
    "section_kprobe_session": Difference(
        "libbpf knows kprobe.session since 1.5", programs=("both",), refused=_UNKNOWN
    ),
    "section_uprobe_multi": Difference(
        "libbpf knows uprobe.multi since 1.3",
        programs=("on_entry", "on_exit"),
        refused=_UNKNOWN,
    ),
    "section_uprobe_session": Difference(
        "libbpf knows uprobe.session since 1.5", programs=("both",), refused=_UNKNOWN
    ),
    "section_struct_ops": Difference(
        "libbpf keeps the number of the member in the attach type before loading, though it is the"
        " local one then; skep asks the kernel's BTF in load()",
        programs=("corpus_init", "corpus_undo", "corpus_avoid"),
    ),
    "section_struct_ops_link": Difference(
        "libbpf knows .struct_ops.link since 1.2", refused="skipping unrecognized data section"
    ),
    "section_optional": Difference(
        "bpftool loads all programs but then cannot pin the optional one, which was left out",
        refused="can't pin program that wasn't loaded",
    ),
    "section_unknown": Difference(
        "libbpf refuses the whole object; skep loads the programs that it can",
        programs=("unknown",),
        refused=_UNKNOWN,
    ),
    "section_cgroup_unix": Difference(
        "libbpf knows cgroup/connect_unix since 1.4", programs=("counts",), refused=_UNKNOWN
    ),
    "extern_kconfig_given": Difference(
        "bpftool cannot give the value", refused="CONFIG_SKEP_GIVEN"
    ),
    "map_pinned": Difference(
        "bpftool is told to pin all maps, and refuses to pin this one twice",
        refused="already has pin path",
    ),
    "map_legacy": Difference(
        "libbpf gave up the old style of maps in 1.0; old objects have it",
        refused="legacy map definitions",
        closed=True,
    ),
    "map_legacy_bare": Difference(
        "libbpf gave up the old style of maps in 1.0; old objects have it",
        refused="legacy map definitions",
        closed=True,
    ),
    "map_ringbuf_type": Difference(
        "libbpf passes the size of the value type to the kernel, which refuses one of a ring"
        " buffer; skep keeps the type as that of the records",
        refused="Error in bpf_create_map_xattr(events):Invalid argument(-22)",
    ),
    "map_struct_key": Difference(
        "libbpf binds a .rodata map to all programs, for tools that read metadata from it; this"
        " one holds a constant that the compiler put into the code as well",
        lines=("programs count maps",),
    ),
    "map_arena": Difference(
        "libbpf knows arenas since 1.4", refused="section '.addr_space.1'", closed=True
    ),
    "data_custom": Difference(
        "libbpf takes names after .data and .rodata, not after .bss; skep takes all three",
        refused="skipping section",
    ),
    "data_constant_branch": Difference(
        "bpftool cannot set the constant that keeps the bad branch from being verified",
        refused="Permission denied",
    ),
    "extern_kfunc_weak": Difference(
        "a call that is never reached is poisoned by another number",
        lines=("programs asks tag",),
    ),
    "function_section": Difference(
        "libbpf takes a static function for a program where .text is not its section",
        refused="is static and not supported",
        closed=True,
    ),
    "function_exception": Difference(
        "libbpf knows exception callbacks since 1.3", refused="Invalid argument"
    ),
}
"""The cases that differ, by name."""
