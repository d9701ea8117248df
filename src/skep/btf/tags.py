"""Declaration tags that are words to skep: ``__attribute__((btf_decl_tag("skep:ipv4")))``.

They stand on members of structs and unions, on typedefs and on global variables. The header
`skep/types.h` has macros for them.
"""

from __future__ import annotations

from skep.btf import types as t
from skep.btf.options import PREFIX, TAGS
from skep.errors import BtfError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.btf.btf import Btf

    Tags = dict[tuple[int, int], tuple[str, ...]]


def tags_of(btf: Btf) -> Tags:
    """Return skep's tags of *btf*, by (type id, index of the member or -1), without ``skep:``.

    Looked for once and kept with the `Btf`. Raises `BtfError` for one that skep does not know: it
    would change what is read, so that to pass over it would be to misread.
    """
    if btf.tags is None:
        btf.tags = _find(btf)
    found: Tags = btf.tags
    return found


def _find(btf: Btf) -> Tags:
    made: dict[tuple[int, int], list[str]] = {}
    # One search tells that there are none, as in a kernel's. Else all types are looked at, once:
    # a search for each of the strings would be slow, as there may be very many.
    tagged = range(1, len(btf)) if btf.strings_starting(PREFIX) else ()
    for id_ in tagged:
        if btf.kind_of(id_) != t.Kind.DECL_TAG:
            continue
        tag = btf.type(id_)
        if not isinstance(tag, t.DeclTag) or not tag.name.startswith(PREFIX):
            continue
        word = tag.name[len(PREFIX) :]
        if word not in TAGS and not word.startswith("enum "):
            known = ", ".join(f"{PREFIX}{one}" for one in TAGS)
            raise BtfError(
                f"BTF of {btf.name} has the tag {tag.name!r:.80}, which skep does not know",
                hint=f"the tags are {known} and {PREFIX}enum NAME",
                source=btf.name,
            )
        made.setdefault((tag.type_id, tag.component_index), []).append(word)
    return {place: tuple(words) for place, words in made.items()}
