"""The members of structs and unions as codecs see them, and what their names and types tell."""

from __future__ import annotations

from skep.btf import types as t
from skep.btf.btf import MAX_DEPTH
from skep.btf.options import Options, names_an_address
from skep.btf.tags import tags_of
from skep.errors import BtfError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from skep.btf.btf import Btf

    Place = tuple[t.Member, int, tuple[tuple[int, int], ...], tuple[str, ...]]

_ADDRESS_STRUCTS = {"in_addr": 4, "in6_addr": 16}
MAX_PARTS = 1 << 17
"""Members and enumerators in all codecs of one blob together, or an eighth of the blob's bytes if
that is more. Members of anonymous structs count wherever they are dissolved: a few kilobytes can
describe a thousand structs of 65 000 members. The largest kernels need a quarter of it."""


MAX_PATH = 1024  # characters of the names of members inside one another
MAX_VIEWS = 256
"""Codecs with options of their own that are kept with a blob: programs that bind a new class or
dtype each time have no use for the older ones."""


def charge(btf: Btf, parts: int, *, shared: bool) -> None:
    """Count *parts* of a codec about to be made, one that all share or one of `Btf.views`."""
    if shared:
        btf.parts += parts
        most = btf.parts
    else:
        btf.view_parts += parts
        most = btf.view_parts
    if most > MAX_PARTS and most > len(btf.memory) // 8:
        raise BtfError(
            f"BTF of {btf.name}: its types have more than {MAX_PARTS} members when all anonymous"
            " structs are dissolved"
        )


def make_room(btf: Btf) -> None:
    """Forget the codecs with options when there are many, or large ones."""
    if len(btf.views) >= MAX_VIEWS or btf.view_parts > MAX_PARTS // 2:
        btf.views = {}
        btf.view_parts = 0


def path_of(btf: Btf, path: str, name: str) -> str:
    """Return the path of member *name* of the one at *path*; a nameless one adds nothing."""
    made = f"{path}.{name}" if path and name else path or name
    if len(made) > MAX_PATH:
        raise BtfError(f"BTF of {btf.name}: a member's path has more than {MAX_PATH} characters")
    return made


def members_of(
    btf: Btf, target: t.Composite, options: Options
) -> Iterator[tuple[t.Member, int, Options]]:
    """Yield (member, bit offset, how to read it), those of anonymous structs and unions inside."""
    for member, bit, _, words in dissolved(btf, target, MAX_DEPTH, shared=False):
        own = options.member(member.name)
        yield member, bit, own.tagged(words) if words else own


def bits_of(btf: Btf, member: t.Member) -> int:
    """Return the bits of a bit-field, 0 for another member."""
    inner = btf.strip(member.type_id)
    if member.bit_size or not isinstance(inner, t.Int) or inner.bits == 8 * inner.size:
        return member.bit_size
    return inner.bits


def dissolved(btf: Btf, target: t.Composite, depth: int, *, shared: bool) -> Iterator[Place]:
    """Yield (member, bit offset, group, tags), those of anonymous structs and unions included."""
    count = 0
    unions = 0
    tags = tags_of(btf)
    # An explicit stack keeps the order of the source: (composite, byte offset, group).
    stack: list[Iterator[Place]]

    def members(
        owner: t.Composite, base: int, group: tuple[tuple[int, int], ...]
    ) -> Iterator[Place]:
        nonlocal unions
        number = 0
        if isinstance(owner, t.Union):
            unions += 1
            number = unions
        for index, member in enumerate(owner.members):
            inside = (*group, (number, index)) if number else group
            yield member, base, inside, tags.get((owner.id, index), ()) if tags else ()

    stack = [members(target, 0, ())]
    while stack:
        entry = next(stack[-1], None)
        if entry is None:
            stack.pop()
            continue
        member, base, group, words = entry
        charge(btf, 1, shared=shared)
        count += 1
        if count > 1 << 16 or len(stack) > depth:
            raise BtfError(f"BTF of {btf.name}: {target.name or 'a struct'} nests too many members")
        bit = 8 * base + member.bit_offset
        if member.name:
            yield member, bit, group, words
        else:
            inner = btf.strip(member.type_id)
            if isinstance(inner, t.Composite):
                stack.append(members(inner, bit // 8, group))


def by_name(btf: Btf, member: t.Member | t.Var, inner: t.Type, options: Options) -> Options:
    """Return *options*, an address when the type and name of a member or variable say it is one."""
    if not options.addresses or options.form or options.order or options.want is not None:
        return options
    if isinstance(inner, t.Array):
        element = btf.strip(inner.type_id)
        length = inner.length
        if not (length == 16 and is_byte(element) and not is_char(element)) and not (
            length == 4 and _is_be32(btf, inner.type_id, element)
        ):
            return options
        form = "ipv6"
    elif _is_be32(btf, member.type_id, inner):
        form = "ipv4"
    else:
        return options
    return options.tagged((form,)) if names_an_address(member.name) else options


def _is_be32(btf: Btf, type_id: int, target: t.Type) -> bool:
    if not isinstance(target, t.Int) or target.size != 4:
        return False
    found = btf.type(type_id)
    while found is not target and isinstance(found, t.Modifier):
        if isinstance(found, t.Typedef) and found.name == "__be32":
            return True
        found = btf.type(found.type_id)
    return False


def address_size(target: t.Composite) -> int:
    """Return the bytes of the address that struct *target* is, or 0: it is none."""
    size = _ADDRESS_STRUCTS.get(target.name, 0)
    return size if size == target.size else 0


def is_char(target: t.Type) -> bool:
    """Tell whether *target* is C's plain `char`, whose arrays are text."""
    # clang and pahole describe char as a signed int called "char", without the CHAR flag.
    return (
        isinstance(target, t.Int) and target.size == 1 and (target.name == "char" or target.is_char)
    )


def is_byte(target: t.Type) -> bool:
    """Tell whether *target* is C's `unsigned char`, whose arrays are bytes."""
    return (
        isinstance(target, t.Int) and target.size == 1 and not target.signed and not target.is_bool
    )


def is_special(btf: Btf, target: t.Type) -> bool:
    """Tell whether *target* is a field that the kernel keeps in map values: not ours to write.

    BPF_MAP_UPDATE_ELEM leaves them as they are or zero, whatever is given
    (``copy_map_value``, ``bpf_obj_free_fields``; the list is ``btf_parse_fields`` in
    kernel/bpf/btf.c, Linux 6.18).
    """
    if isinstance(target, t.Struct):
        return target.name in _SPECIAL
    if isinstance(target, t.Array):
        return is_special(btf, btf.strip(target.type_id))
    if isinstance(target, t.Pointer) and target.type_id:
        pointed = btf.type(target.type_id)
        return isinstance(pointed, t.TypeTag) and pointed.name in _KERNEL_POINTERS
    return False


_SPECIAL = frozenset({
    "bpf_spin_lock", "bpf_res_spin_lock", "bpf_timer", "bpf_wq", "bpf_task_work",
    "bpf_list_head", "bpf_list_node", "bpf_rb_root", "bpf_rb_node", "bpf_refcount",
})  # fmt: skip
_KERNEL_POINTERS = frozenset({"kptr", "kptr_untrusted", "percpu_kptr", "uptr"})
